"""How does `kessai checkout` come up, stay up and go down?"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog
import uvloop
from aiohttp import web

from ingress.api.health import Health, looking
from ingress.checkout.call import Counter
from ingress.checkout.door import CheckoutApi
from ingress.checkout.hosted import HostedCheckout
from ingress.checkout.metrics import CheckoutMetrics
from shared.checkout_terms import CheckoutTerms
from shared.errors import SettingsError
from shared.garbage import collect_rarely
from shared.ledger.books import Shop
from shared.ledger.database import open_pool
from shared.ledger.hosted_sessions import merchant_untold
from shared.observe import log as logging
from shared.observe.admin import AdminServer
from shared.observe.listening import BACKLOG, bind, port_of
from shared.observe.metrics import new_registry
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.retries import Patience
from shared.sdrp.api.transport import Transport
from shared.settings import Settings
from shared.stopping import stop_at_signals

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.checkout")

CONNECTIONS = 64
"""To Siglume, for each endpoint."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the checkout listens; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 8060
    admin_host: str = "127.0.0.1"
    admin_port: int = 9060


def run(settings: Settings, listen: Listen) -> None:
    """Serve until SIGTERM or SIGINT. Raises KessaiError."""
    terms = require_startable(settings)
    logging.configure(
        style=settings.log_format,
        level=settings.log_level,
        secrets=[
            secret.get_secret_value()
            for each in terms.values()
            for secret in (each.challenge_secret, each.access.token if each.access else None)
            if secret is not None
        ],
    )
    uvloop.run(_serve_until_signalled(settings, listen))


def require_startable(settings: Settings) -> dict[str, CheckoutTerms]:
    """What is configured. Raises SettingsError for whatever forbids a start before any port is opened."""
    settings.require_database_url()
    shops, terms = settings.shops(), settings.checkouts()
    if not any(each.starts_payments for each in terms.values()):
        raise SettingsError(
            "no payment can be started: set SIGLUME_MERCHANT_AUTH_TOKEN for Hosted Checkout, or "
            "SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET for challenges"
        )
    nameless = [name for name, each in terms.items() if each.starts_payments and shops[name].merchant is None]
    if nameless:
        raise SettingsError(merchant_untold(nameless[0]))
    return terms


async def _serve_until_signalled(settings: Settings, listen: Listen) -> None:
    await serve(settings, listen, stop=stop_at_signals())


async def serve(settings: Settings, listen: Listen, *, stop: asyncio.Event) -> None:
    """Take calls until `stop` is set, then answer those that have begun.

    Starts without Postgres and answers 503 until it is there. Raises KessaiError when it cannot start.
    """
    terms, health = require_startable(settings), Health()
    registry = new_registry()
    metrics = CheckoutMetrics(registry)
    async with AsyncExitStack() as stack:
        pool = await open_pool(
            settings.require_database_url(),
            application="kessai checkout",
            size=settings.database_pool,
            statement_timeout=min(settings.checkout_deadline, settings.statement_timeout),
            keys_only=True,
        )
        stack.callback(pool.terminate)
        counters = {
            name: await open_counter(shop, terms[name], settings.checkout_deadline, metrics, stack)
            for name, shop in settings.shops().items()
        }
        api = CheckoutApi(pool=pool, counters=counters, metrics=metrics, deadline=settings.checkout_deadline)
        bound = bind(listen.host, listen.port)
        stack.callback(bound.close)
        admin = await stack.enter_async_context(
            AdminServer(listen.admin_host, listen.admin_port, registry=registry, ready=health.readiness)
        )
        await stack.enter_async_context(looking(health, pool, log))
        runner = web.AppRunner(api.app, access_log=None, shutdown_timeout=max(0.5, settings.drain_timeout / 2 - 0.5))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, bound, backlog=BACKLOG).start()
        health.is_listening = True
        collect_rarely()
        log.info(
            "checkout.started", host=listen.host, port=port_of(bound), admin_port=admin.port, endpoints=sorted(counters)
        )
        await stop.wait()
        health.is_listening = False
        log.info("checkout.draining")
    log.info("checkout.stopped")


async def open_counter(
    shop: Shop, terms: CheckoutTerms, deadline: float, metrics: CheckoutMetrics, stack: AsyncExitStack
) -> Counter:
    """Of one endpoint, with connections to Siglume that close with the stack."""
    if terms.access is None or shop.merchant is None:
        return Counter(shop, terms, None)
    transport = await stack.enter_async_context(
        Transport(terms.access, patience=_patience(deadline), connections=CONNECTIONS)
    )
    return Counter(shop, terms, HostedCheckout(MerchantClient(transport), shop.merchant, metrics))


def _patience(deadline: float) -> Patience:
    """A buyer waits meanwhile: Siglume gets most of a call's time, and what it answers is still written down."""
    return Patience(
        attempts=3,
        connect=min(3.0, deadline / 4),
        attempt=deadline * 0.4,
        deadline=deadline * 0.6,
        first_wait=0.2,
        longest_wait=2.0,
    )
