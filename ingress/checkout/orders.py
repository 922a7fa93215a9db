"""Orders as a merchant's own systems write and read them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final, Self
from urllib.parse import quote

from pydantic import Field

from ingress.api.answers import Made
from ingress.api.inputs import EndpointName, Input, Text
from ingress.api.operation import Thing
from ingress.api.problems import CONFLICT, FORBIDDEN, Refused
from ingress.checkout.call import Call
from ingress.checkout.operation import AnyOperation, act, put, read
from shared.ledger import orders
from shared.ledger.checkout_rows import Stand, stand
from shared.ledger.checkout_states import Attempt, AttemptState
from shared.ledger.database import Connection
from shared.ledger.transitions import OrderState
from shared.sdrp.money import MAX_SAFE_INTEGER, Currency


@dataclass(frozen=True, slots=True)
class ShownAttempt:
    """The newest attempt at the payment of an order."""

    attempt: int
    state: AttemptState
    nonce: str
    session_id: str | None
    checkout_url: str | None
    expires_at: datetime | None

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        return cls(
            attempt.attempt,
            attempt.state,
            attempt.nonce,
            attempt.session_id,
            attempt.checkout_url,
            attempt.expires_at,
        )


@dataclass(frozen=True, slots=True)
class CheckoutOrder:
    """An order as it is now; amounts are minor units: yen, or US cents."""

    order_id: str
    state: OrderState
    amount_minor: int
    currency: Currency
    endpoint: str
    paid_at: datetime | None
    attempt: ShownAttempt | None
    """None until its payment is started."""

    @classmethod
    def of(cls, found: Stand) -> Self:
        order = found.order
        return cls(
            order_id=order.order_id,
            state=order.state,
            amount_minor=order.amount_minor,
            currency=order.currency,
            endpoint=order.endpoint,
            paid_at=order.paid_at,
            attempt=None if found.attempt is None else ShownAttempt.of(found.attempt),
        )


class OrderRequest(Input):
    order_id: Text


class AuthoredOrder(OrderRequest):
    amount_minor: Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER, description="In minor units: yen, or US cents.")]
    currency: Currency
    endpoint: Annotated[
        EndpointName | None, Field(description="The endpoint of the payments that may pay it: that of the token.")
    ] = None


async def put_order(call: Call, request: AuthoredOrder) -> Made:
    """Repeating a call changes nothing."""
    endpoint = call.client.endpoint
    if request.endpoint not in (None, endpoint):
        raise Refused(FORBIDDEN, f"This token is for orders of endpoint {endpoint!r}.")
    _ = call.checkout  # refuses a token whose endpoint is no longer configured
    order = orders.NewOrder(request.order_id, request.amount_minor, request.currency.value, endpoint)

    async def work(connection: Connection) -> Made:
        is_new = await _author(connection, order, actor=call.actor)
        found = await stand(connection, order.order_id)
        return Made(CheckoutOrder.of(found), HTTPStatus.CREATED if is_new else HTTPStatus.OK, location(order.order_id))

    return await call.books(work)


async def _author(connection: Connection, order: orders.NewOrder, *, actor: str) -> bool:
    """Register the order, or change it to these values; True when it is new. Raises OrderConflict, Refused."""
    try:
        return (await orders.register(connection, [order], actor=actor, now=datetime.now(UTC))).new > 0
    except orders.OrderConflict:  # it is known, with other values
        try:
            await orders.change(connection, order, actor=actor)
        except orders.OrderNotFound:
            raise Refused(CONFLICT, f"Order id {order.order_id!r} is not free: choose another.") from None
        return False


async def get_order(call: Call, request: OrderRequest) -> CheckoutOrder:
    return CheckoutOrder.of(await call.order_with_attempt(request.order_id))


async def cancel_order(call: Call, request: OrderRequest) -> CheckoutOrder:
    """The session that a buyer may have open cannot be closed from here: a payment that still comes is reviewed."""
    found = await call.order_with_attempt(request.order_id)
    now = datetime.now(UTC)
    order = await call.books(lambda connection: orders.cancel(connection, request.order_id, actor=call.actor, now=now))
    return CheckoutOrder.of(Stand(order, found.attempt, found.now))


def location(order_id: str) -> str:
    return f"/orders/{quote(order_id, safe='')}"


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    put(
        "putOrder",
        "/orders/{order_id}",
        "Set what an order costs. 201: the order is new; 200: it existed, and costs this now. Once its payment was "
        "started it keeps its amount and currency: another amount or currency is a 409.",
        AuthoredOrder,
        Thing(CheckoutOrder, (HTTPStatus.CREATED, HTTPStatus.OK)),
        put_order,
        refuses=(CONFLICT,),
    ),
    read("getOrder", "/orders/{order_id}", "One order.", OrderRequest, Thing(CheckoutOrder), get_order),
    act(
        "cancelOrder",
        "/orders/{order_id}/cancel",
        "Close a pending order; a payment that comes later opens a review.",
        OrderRequest,
        Thing(CheckoutOrder),
        cancel_order,
        refuses=(CONFLICT,),
    ),
)
