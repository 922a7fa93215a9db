"""How does `kessai console` come up, stay up and go down?"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from math import inf

import structlog
from prometheus_client import CollectorRegistry

from ingress.console.access.requests import Frontier
from ingress.console.api.door import Api
from ingress.console.exporter import EXPORTS_AT_ONCE, Exporter
from ingress.console.keyring import Keyring
from ingress.console.metrics import ConsoleMetrics
from ingress.console.plans import AT_ONCE, Plans
from ingress.console.queues import Queues
from ingress.console.reckoning import AT_ONCE as REPORTS_AT_ONCE
from ingress.console.reckoning import Reckoning, RevenueTerms
from ingress.console.site import Site
from ingress.serving import ListenAddress, run_until_signalled, serve_app
from shared.errors import SettingsError
from shared.ledger.database import Pool, open_pool
from shared.observe import log as logging
from shared.observe.metrics import new_registry
from shared.sdrp.signature import SigningSecret
from shared.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")

STATEMENT_TIMEOUT = 10.0
"""Seconds a page may ask Postgres for: a person who waits longer reloads, and asks twice."""


def run(settings: Settings, address: ListenAddress) -> None:
    """Serve until SIGTERM or SIGINT. Raises KessaiError."""
    logging.configure(style=settings.log_format, level=settings.log_level)
    run_until_signalled(lambda stop: serve(settings, address, stop=stop))


async def serve(settings: Settings, address: ListenAddress, *, stop: asyncio.Event) -> None:
    """Serve pages until `stop` is set, then finish those that have begun.

    The console starts without Postgres and says so on its pages until Postgres is there. Raises KessaiError when it
    cannot start.
    """
    registry = new_registry()
    async with AsyncExitStack() as stack:
        pools = await _open_pools(settings, stack)
        await serve_app(
            _site(settings, address, pools, registry).app,
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
    """Connections by what they are for: what may take long has its own, so that pages need not wait for it."""

    pages: Pool
    exports: Pool
    plans: Pool
    predictions: Pool
    """Connect as workers do."""
    reports: Pool


async def _open_pools(settings: Settings, stack: AsyncExitStack) -> Pools:
    async def opened(name: str, size: int, *, keys_only: bool = False, patience: float = inf) -> Pool:
        pool = await open_pool(
            settings.require_database_url(),
            application=name,
            size=size,
            statement_timeout=min(patience, settings.statement_timeout),
            keys_only=keys_only,
        )
        stack.callback(pool.terminate)
        return pool

    return Pools(
        pages=await opened("kessai console", settings.database_pool, keys_only=True, patience=STATEMENT_TIMEOUT),
        exports=await opened("kessai console: exports", EXPORTS_AT_ONCE),
        plans=await opened("kessai console: plans", AT_ONCE),
        predictions=await opened("kessai console: plans", AT_ONCE, keys_only=True),
        reports=await opened("kessai console: reports", REPORTS_AT_ONCE),
    )


def _site(settings: Settings, address: ListenAddress, pools: Pools, registry: CollectorRegistry) -> Site:
    """The pages and the API as the settings say. Raises SettingsError."""
    frontier = Frontier(
        settings.believed_proxies(),
        settings.tls_proxies(),
        settings.origin_of_console(),
        is_loopback=_is_loopback(address.host),
    )
    shops, secrets, approvals = settings.shops(), _secrets(settings), settings.review_approvals
    plans = Plans(books=pools.plans, handlers=pools.predictions, shops=shops)
    reckoning = Reckoning(pools.reports)
    exporter = Exporter(pools.exports)
    terms = RevenueTerms(settings.exposure_warning, timedelta(seconds=settings.reconcile_every))
    api = Api(
        pool=pools.pages,
        exporter=exporter,
        plans=plans,
        frontier=frontier,
        shops=shops,
        secrets=secrets,
        approvals=approvals,
        reckoning=reckoning,
        revenue=terms,
    )
    return Site(
        pool=pools.pages,
        frontier=frontier,
        roles=settings.roles_of_groups(),
        metrics=ConsoleMetrics(registry),
        plans=plans,
        reckoning=reckoning,
        exporter=exporter,
        revenue_terms=terms,
        shops=shops,
        secrets=secrets,
        approvals=approvals,
        queues=Queues(settings.require_amqp_url()) if settings.amqp_url is not None else None,
        keyring=Keyring(Settings.from_env),
        api=api.app,
    )


def _secrets(settings: Settings) -> Mapping[str, Sequence[SigningSecret]]:
    """What signatures are proved with again; the console needs no secret for anything else, and starts without."""
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
