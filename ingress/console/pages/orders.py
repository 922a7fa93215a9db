"""What the merchant sells and what became of it: by state, by id, one order with all that happened to it."""

from datetime import UTC, datetime

from aiohttp import web

from ingress.console.sections import Section, act, page
from ingress.console.visit import PAGE_ROWS, Tone, Visit, not_found
from shared.ledger import orders
from shared.ledger.browse import audit as audit_pages
from shared.ledger.browse import events as event_pages
from shared.ledger.browse import orders as order_pages
from shared.ledger.browse import reviews as review_pages
from shared.ledger.orders import OrderNotFound, OrderNotPending
from shared.ledger.roles import Role
from shared.ledger.transitions import OrderState

SHOWN = 50
"""Events, reviews and acts on the page of one order."""


async def list_orders(visit: Visit) -> web.Response:
    state, endpoint = visit.chosen("state", OrderState), visit.asked("endpoint")
    before = visit.before(datetime.fromisoformat, str)
    async with visit.books() as connection:
        found = await order_pages.newest(
            connection,
            limit=PAGE_ROWS,
            before=before,
            state=OrderState(state) if state else None,
            endpoint=endpoint,
        )
    return visit.page("orders/list.html", found=found, states=list(OrderState), state=state, endpoint=endpoint)


async def show(visit: Visit) -> web.Response:
    order_id = visit.asked("id") or ""
    async with visit.books() as connection:
        listed = await order_pages.find(connection, order_id)
        if listed is None:
            raise not_found(f"There is no order {order_id}")
        return visit.page(
            "orders/show.html",
            listed=listed,
            order=listed.order,
            challenges=await order_pages.challenges(connection, order_id),
            events=await event_pages.of_order(connection, order_id, limit=SHOWN),
            reviews=await review_pages.of_order(connection, order_id, limit=SHOWN),
            acts=(await audit_pages.newest(connection, limit=SHOWN, subject=order_id)).rows,
        )


async def cancel(visit: Visit) -> web.Response:
    """Close a pending order; the books audit it."""
    order_id = (await visit.form()).get("id", "")
    try:
        async with visit.books() as connection:
            await orders.cancel(connection, order_id, actor=visit.person.actor, now=datetime.now(UTC))
    except OrderNotFound:
        raise not_found(f"There is no order {order_id}") from None
    except OrderNotPending as error:
        told = f"Order {order_id} is {error.order.state}: only a pending order can be cancelled. Nothing was changed."
        return visit.to("/orders/show", id=order_id, told=told, tone=Tone.REFUSED)
    return visit.to("/orders/show", id=order_id, told=f"Order {order_id} is cancelled.")


SECTION = Section(
    "Orders",
    "/orders",
    (
        page("/orders", list_orders),
        page("/orders/show", show),
        act("/orders/cancel", cancel, needs=Role.OPERATOR),
    ),
)
