"""Orders: what the merchant sells, registered before the buyer pays."""

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote

from pydantic import Field

from ingress.api.answers import Made
from ingress.api.inputs import EndpointName, Input, Paged, Since, Text, Until
from ingress.api.operation import Listed, Thing
from ingress.api.problems import CONFLICT
from ingress.console import cursors
from ingress.console.api.call import Call, Page
from ingress.console.api.operation import ROOT, AnyOperation, act, read
from shared.endpoints import DEFAULT_ENDPOINT
from shared.ledger import challenges, order_lists, orders
from shared.ledger.books import Order
from shared.ledger.database import Connection
from shared.ledger.exports import By
from shared.ledger.order_lists import OrderFilter
from shared.ledger.timeline import Step, timeline
from shared.ledger.transitions import OrderState
from shared.sdrp.money import MAX_SAFE_INTEGER, Currency

BY: Final = "Which time of orders since and until speak of, and rows follow: paid leaves out what is not paid."


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """An order as it stands; amounts are minor units: yen, or US cents."""

    order_id: str
    state: OrderState
    amount_minor: int
    currency: Currency
    requirement_id: str | None
    chain_receipt_id: str | None
    paid_at: datetime | None
    endpoint: str


@dataclass(frozen=True, slots=True)
class WholeOrder(ShownOrder):
    """An order, and the challenges that a buyer may pay for it."""

    challenge_hashes: list[str]


class OrdersParams(Paged):
    state: OrderState | None = None
    endpoint: Text | None = None
    by: Annotated[By, Field(description=BY)] = By.REGISTERED
    since: Since = None
    until: Until = None


class OfOrder(Input):
    order_id: Text


class NewOrder(Input):
    order_id: Text
    amount_minor: Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER, description="In minor units: yen, or US cents.")]
    currency: Currency
    challenge_hash: Annotated[Text | None, Field(description="sha256:... of the challenge that the buyer pays.")] = None
    endpoint: Annotated[EndpointName, Field(description="Whose payments may pay it.")] = DEFAULT_ENDPOINT


async def list_orders(call: Call, params: OrdersParams) -> Page[ShownOrder]:
    wanted = OrderFilter(params.by, params.since, params.until, params.state, params.endpoint)
    before = call.place(params.cursor, cursors.moment, cursors.number if params.by is By.PAID else cursors.name)
    found = await call.books(lambda connection: order_lists.look(connection, wanted, limit=params.limit, before=before))
    return Page([ShownOrder(**_fields(each.order)) for each in found.rows], call.cursor(found.older))


async def show_order(call: Call, params: OfOrder) -> WholeOrder:
    return await call.books(lambda connection: _whole(connection, params.order_id))


async def show_timeline(call: Call, params: OfOrder) -> Page[Step]:
    return Page(await call.books(lambda connection: timeline(connection, params.order_id)))


async def register_order(call: Call, params: NewOrder) -> Made:
    """Registering an order again changes nothing."""
    order = orders.NewOrder(
        params.order_id, params.amount_minor, params.currency.value, params.endpoint, params.challenge_hash
    )

    async def work(connection: Connection) -> Made:
        done = await orders.register(connection, [order], actor=call.actor, now=datetime.now(UTC))
        status = HTTPStatus.CREATED if done.new else HTTPStatus.OK
        where = f"{ROOT}/orders/{quote(order.order_id, safe='')}"
        return Made(await _whole(connection, order.order_id), status, where)

    return await call.books(work)


async def cancel_order(call: Call, params: OfOrder) -> ShownOrder:
    now = datetime.now(UTC)
    order = await call.books(lambda connection: orders.cancel(connection, params.order_id, actor=call.actor, now=now))
    return ShownOrder(**_fields(order))


async def _whole(connection: Connection, order_id: str) -> WholeOrder:
    order = await orders.find(connection, order_id)
    return WholeOrder(**_fields(order), challenge_hashes=await challenges.hashes_of(connection, order_id))


def _fields(order: Order) -> dict[str, Any]:
    """The fields of an order by name."""
    return order._asdict()


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "listOrders",
        "/orders",
        "The newest orders and their states, by when they were registered or paid.",
        OrdersParams,
        Listed(ShownOrder),
        list_orders,
    ),
    act(
        "registerOrder",
        "/orders",
        "Register an order; a payment that came before it is applied at once. 200: it was registered already.",
        NewOrder,
        Thing(WholeOrder, (HTTPStatus.CREATED, HTTPStatus.OK)),
        register_order,
        refuses=(CONFLICT,),
    ),
    read("showOrder", "/orders/{order_id}", "One order.", OfOrder, Thing(WholeOrder), show_order),
    read(
        "showOrderTimeline",
        "/orders/{order_id}/timeline",
        "All that happened to an order, the oldest first; on one page.",
        OfOrder,
        Listed(Step),
        show_timeline,
    ),
    act(
        "cancelOrder",
        "/orders/{order_id}/cancel",
        "Close a pending order; a payment that comes later opens a review.",
        OfOrder,
        Thing(ShownOrder),
        cancel_order,
        refuses=(CONFLICT,),
    ),
)
