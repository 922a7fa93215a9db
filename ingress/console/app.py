"""Starts `kessai console`, serves until it is stopped, and shuts it down."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from math import inf

import structlog
from prometheus_client import CollectorRegistry

from ingress.console.access.authentication import Authenticator
from ingress.console.access.origins import OriginPolicy
from ingress.console.api.application import Api
from ingress.console.delivery_history import DeliveryHistory
from ingress.console.exporter import EXPORTS_AT_ONCE, Exporter
from ingress.console.metrics import ConsoleMetrics
from ingress.console.plans import AT_ONCE, Plans
from ingress.console.queues import Queues
from ingress.console.replay_progress import ReplayProgress
from ingress.console.report_cache import AT_ONCE as REPORTS_AT_ONCE
from ingress.console.report_cache import ReportCache, RevenueTerms
from ingress.console.services import Services
from ingress.console.site import Site
from ingress.console.webhook_keys import WebhookKeys
from ingress.serving import ListenAddress, run_until_signalled, serve_app
from shared.errors import SettingsError
from shared.ledger.database import Pool, open_pool
from shared.ledger.sessions import Terms as SessionTerms
from shared.observe import log as logging
from shared.observe.metrics import new_registry
from shared.sdrp.signature import SigningSecret
from shared.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")

STATEMENT_TIMEOUT = 10.0
"""Seconds that a statement of a page may take: a person who waits longer reloads, and runs it twice."""


def run(settings: Settings, address: ListenAddress) -> None:
    """Serve until SIGTERM or SIGINT. Raises KessaiError."""
    logging.configure(style=settings.log_format, level=settings.log_level)
    logging.warn_of_unknown_settings(settings.unknown)
    run_until_signalled(lambda stop: serve(settings, address, stop=stop))


async def serve(settings: Settings, address: ListenAddress, *, stop: asyncio.Event) -> None:
    """Serve pages and API until `stop` is set, then finish the requests that have begun.

    The console starts without Postgres, and its pages say so until it is there. Raises KessaiError when it cannot
    start.
    """
    registry = new_registry()
    async with AsyncExitStack() as stack:
        pools = await _open_pools(settings, stack)
        services = _services(settings, address, pools, registry)
        await serve_app(
            Site(services, api=Api(services).app).app,
            address,
            name="console",
            pool=pools.pages,
            registry=registry,
            drain_timeout=settings.drain_timeout,
            log=log,
            stop=stop,
        )


@dataclass(frozen=True, slots=True)
class Pools:
    """Connections by purpose: what may take long has its own pool, so that pages never wait for it."""

    pages: Pool
    exports: Pool
    plans: Pool
    predictions: Pool
    """It connects as workers do."""
    reports: Pool


async def _open_pools(settings: Settings, stack: AsyncExitStack) -> Pools:
    async def opened(name: str, size: int, *, keys_only: bool = False, longest: float = inf) -> Pool:
        pool = await open_pool(
            settings.require_database_url(),
            application=name,
            size=size,
            statement_timeout=min(longest, settings.statement_timeout),
            keys_only=keys_only,
        )
        stack.callback(pool.terminate)
        return pool

    return Pools(
        pages=await opened("kessai console", settings.database_pool, keys_only=True, longest=STATEMENT_TIMEOUT),
        exports=await opened("kessai console: exports", EXPORTS_AT_ONCE),
        plans=await opened("kessai console: plans", AT_ONCE),
        predictions=await opened("kessai console: plans", AT_ONCE, keys_only=True),
        reports=await opened("kessai console: reports", REPORTS_AT_ONCE),
    )


def _services(settings: Settings, address: ListenAddress, pools: Pools, registry: CollectorRegistry) -> Services:
    """What the settings say the pages and the API are to use. Raises SettingsError."""
    origins = OriginPolicy(
        settings.believed_proxies(),
        settings.tls_proxies(),
        settings.origin_of_console(),
        is_loopback=_is_loopback(address.host),
    )
    shops = settings.shops()
    return Services(
        pool=pools.pages,
        origins=origins,
        authenticator=Authenticator(origins, settings.roles_of_groups(), SessionTerms()),
        metrics=ConsoleMetrics(registry),
        plans=Plans(books=pools.plans, handlers=pools.predictions, shops=shops),
        reports=ReportCache(pools.reports),
        exporter=Exporter(pools.exports),
        history=DeliveryHistory(pools.pages),
        progress=ReplayProgress(pools.pages),
        shops=shops,
        secrets=_secrets(settings),
        approvals=settings.review_approvals,
        revenue=RevenueTerms(settings.exposure_warning, timedelta(seconds=settings.reconcile_every)),
        queues=Queues(settings.require_amqp_url()) if settings.amqp_url is not None else None,
        webhook_keys=WebhookKeys(Settings.from_env),
    )


def _secrets(settings: Settings) -> Mapping[str, Sequence[SigningSecret]]:
    """The secrets that signatures are verified with again. The console starts without them and then verifies none."""
    try:
        return {name: endpoint.secrets for name, endpoint in settings.endpoints().items()}
    except SettingsError as error:
        log.info("console.proves_no_signature", because=str(error))
        return {}


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
