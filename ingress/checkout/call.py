"""What is an operation given? The caller, the books, and the endpoint that the caller belongs to."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from ingress.api.books import in_books
from ingress.api.problems import FORBIDDEN, Refused
from ingress.checkout.hosted import HostedCheckout
from ingress.checkout.metrics import CheckoutMetrics
from ingress.checkout.refusals import METERED
from shared.checkout_terms import CheckoutTerms
from shared.ledger.books import Order, Shop
from shared.ledger.checkout_clients import Client
from shared.ledger.checkout_rows import OrderNotPayable, Stand, stand
from shared.ledger.database import Connection, Pool
from shared.ledger.orders import OrderNotFound
from shared.ledger.transitions import OrderState
from shared.sdrp.money import Band, band_for

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EndpointCheckout:
    """What starts the payments of one endpoint's orders."""

    shop: Shop
    terms: CheckoutTerms
    hosted: HostedCheckout | None
    """None when the settings hold no token or no merchant key for it."""


@dataclass(frozen=True, slots=True)
class Services:
    """What all calls share."""

    pool: Pool
    checkouts: Mapping[str, EndpointCheckout]
    """By the name of the endpoint."""
    lease: timedelta
    """How long a call keeps an attempt from others: longer than a call may take."""
    metrics: CheckoutMetrics
    document: Callable[[], bytes]
    """The OpenAPI document."""


@dataclass(frozen=True, slots=True)
class Call:
    services: Services
    client: Client

    @property
    def actor(self) -> str:
        """The name of the caller in the audit."""
        return self.client.actor

    @property
    def checkout(self) -> EndpointCheckout:
        """That of the caller's endpoint. Raises Refused when the settings no longer name it."""
        checkout = self.services.checkouts.get(self.client.endpoint)
        if checkout is None:
            raise Refused(
                FORBIDDEN,
                f"This token is for endpoint {self.client.endpoint!r}, which is not known here: see KESSAI_CONFIG.",
            )
        return checkout

    async def books(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do `work` on a connection; it commits as a whole or not at all. Raises KessaiError."""
        return await in_books(self.services.pool, work)

    async def order_with_attempt(self, order_id: str) -> Stand:
        """Raises OrderNotFound, also for an order of another endpoint."""
        found = await self.books(lambda connection: stand(connection, order_id))
        if found.order.endpoint != self.client.endpoint:
            raise OrderNotFound(order_id)
        return found

    def require_payable(self, order: Order) -> None:
        """Raises OrderNotPayable, and Refused for a band that the shop does not accept."""
        if order.state is not OrderState.PENDING:
            raise OrderNotPayable(order)
        band = band_for(order.amount_minor, order.currency)
        if band is not Band.STANDARD and not self.checkout.shop.allow_metered_payments:
            raise Refused(
                METERED,
                f"{order.amount_minor} {order.currency} is a {band} payment, which settles weeks later in a batch: "
                "integrate metered payments first, then set allow_metered_payments.",
            )
