"""What does an operation have at hand? Who calls, the books, and the shop that the caller belongs to."""

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
class Counter:
    """Where payments of one endpoint's orders are started."""

    shop: Shop
    terms: CheckoutTerms
    hosted: HostedCheckout | None
    """None: Kessai has no token for it, or does not know the merchant."""


@dataclass(frozen=True, slots=True)
class Services:
    """What every call shares."""

    pool: Pool
    counters: Mapping[str, Counter]
    """By endpoint."""
    lease: timedelta
    """How long one call has an attempt to itself: longer than a call may take."""
    metrics: CheckoutMetrics
    document: Callable[[], bytes]
    """Tells what the API is (OpenAPI)."""


@dataclass(frozen=True, slots=True)
class Call:
    services: Services
    client: Client

    @property
    def actor(self) -> str:
        """As the audit names who acts."""
        return self.client.actor

    @property
    def counter(self) -> Counter:
        """Raises Refused."""
        counter = self.services.counters.get(self.client.endpoint)
        if counter is None:
            raise Refused(
                FORBIDDEN,
                f"This token is for endpoint {self.client.endpoint!r}, which is not known here: see KESSAI_CONFIG.",
            )
        return counter

    async def books(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """One piece of work that commits or changes nothing. Raises KessaiError."""
        return await in_books(self.services.pool, work)

    async def stand(self, order_id: str) -> Stand:
        """Raises OrderNotFound, for another endpoint's order, too."""
        at = await self.books(lambda connection: stand(connection, order_id))
        if at.order.endpoint != self.client.endpoint:
            raise OrderNotFound(order_id)
        return at

    def require_payable(self, order: Order) -> None:
        """Raises OrderNotPayable, and Refused for a band that the shop does not take."""
        if order.state is not OrderState.PENDING:
            raise OrderNotPayable(order)
        band = band_for(order.amount_minor, order.currency)
        if band is not Band.STANDARD and not self.counter.shop.allow_metered_payments:
            raise Refused(
                METERED,
                f"{order.amount_minor} {order.currency} is a {band} payment, which settles weeks later in a batch: "
                "build for that first, then set allow_metered_payments.",
            )
