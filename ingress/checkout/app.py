"""How does `kessai checkout` start, serve and stop?"""

import asyncio
from contextlib import AsyncExitStack

import structlog

from ingress.checkout.api import CheckoutApi
from ingress.checkout.call import EndpointCheckout
from ingress.checkout.hosted import HostedCheckout
from ingress.checkout.metrics import CheckoutMetrics
from ingress.serving import ListenAddress, run_until_signalled, serve_app
from shared.checkout_terms import CheckoutTerms
from shared.errors import SettingsError
from shared.garbage import collect_rarely
from shared.ledger.books import Shop
from shared.ledger.database import open_pool
from shared.ledger.hosted_sessions import merchant_untold
from shared.observe import log as logging
from shared.observe.metrics import new_registry
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.retries import Patience
from shared.sdrp.api.transport import Transport
from shared.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.checkout")

CONNECTIONS = 64
"""The most connections to Siglume for each endpoint."""


def run(settings: Settings, address: ListenAddress) -> None:
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
    logging.warn_of_unknown_settings(settings.unknown)
    run_until_signalled(lambda stop: serve(settings, address, stop=stop))


def require_startable(settings: Settings) -> dict[str, CheckoutTerms]:
    """The terms of each endpoint. Raises SettingsError for anything that forbids a start, before a port is opened."""
    settings.require_database_url()
    shops, terms = settings.shops(), settings.checkouts()
    if not any(each.starts_payments for each in terms.values()):
        raise SettingsError(
            "no payment can be started: set SIGLUME_MERCHANT_AUTH_TOKEN for Hosted Checkout, or "
            "SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET for challenges"
        )
    without_merchant = [name for name, each in terms.items() if each.starts_payments and shops[name].merchant is None]
    if without_merchant:
        raise SettingsError(merchant_untold(without_merchant[0]))
    return terms


async def serve(settings: Settings, address: ListenAddress, *, stop: asyncio.Event) -> None:
    """Take calls until `stop` is set, then answer those that have begun.

    The server starts without Postgres and answers 503 until Postgres is there. Raises KessaiError when it cannot start.
    """
    terms, registry = require_startable(settings), new_registry()
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
        checkouts = {
            name: await open_checkout(shop, terms[name], settings.checkout_deadline, metrics, stack)
            for name, shop in settings.shops().items()
        }
        api = CheckoutApi(pool=pool, checkouts=checkouts, metrics=metrics, deadline=settings.checkout_deadline)
        collect_rarely()
        await serve_app(
            api.app,
            address,
            name="checkout",
            pool=pool,
            registry=registry,
            drain_timeout=settings.drain_timeout,
            log=log.bind(endpoints=sorted(checkouts)),
            stop=stop,
        )


async def open_checkout(
    shop: Shop, terms: CheckoutTerms, deadline: float, metrics: CheckoutMetrics, stack: AsyncExitStack
) -> EndpointCheckout:
    """The checkout of one endpoint, with connections to Siglume that close with the stack."""
    if terms.access is None or shop.merchant is None:
        return EndpointCheckout(shop, terms, None)
    transport = await stack.enter_async_context(
        Transport(terms.access, patience=_patience(deadline), connections=CONNECTIONS)
    )
    return EndpointCheckout(shop, terms, HostedCheckout(MerchantClient(transport), shop.merchant, metrics))


def _patience(deadline: float) -> Patience:
    """A buyer waits: Siglume gets most of a call's time, and enough is left to record its answer."""
    return Patience(
        attempts=3,
        connect=min(3.0, deadline / 4),
        attempt=deadline * 0.4,
        deadline=deadline * 0.6,
        first_wait=0.2,
        longest_wait=2.0,
    )
