"""The list of orders, and the page of one order with its timeline."""

from datetime import UTC, datetime

from aiohttp import web

from ingress.console import cursors
from ingress.console.days import begin_of, end_of
from ingress.console.forms import FRESH, Returned
from ingress.console.messages import explained
from ingress.console.sections import Section, act, page
from ingress.console.timeline_steps import timeline_entry
from ingress.console.visit import PAGE_ROWS, Tone, Visit, not_found
from shared.ledger import challenges, notes, order_lists, orders, reviews
from shared.ledger.exports import By
from shared.ledger.notes import InvalidNote, NoteThing, NothingToNote
from shared.ledger.order_lists import OrderFilter
from shared.ledger.orders import OrderNotFound, OrderNotPending
from shared.ledger.reviews import ReviewFilter
from shared.ledger.roles import Role
from shared.ledger.timeline import timeline
from shared.ledger.transitions import OrderState

SHOWN = 50
"""The most open reviews on the page of one order."""


async def list_orders(visit: Visit) -> web.Response:
    state, first, last = visit.chosen("state", OrderState), visit.query("since"), visit.query("until")
    wanted = OrderFilter(
        by=By(visit.chosen("by", By) or By.REGISTERED),
        since=begin_of(first),
        until=end_of(begin_of(last)),
        state=OrderState(state) if state else None,
        endpoint=visit.query("endpoint"),
    )
    before = visit.before(cursors.moment, cursors.number if wanted.by is By.PAID else cursors.name)
    async with visit.books() as connection:
        found = await order_lists.look(connection, wanted, limit=PAGE_ROWS, before=before)
    return visit.page(
        "orders/list.html",
        found=found,
        wanted=wanted,
        days=(first, last),
        is_all=wanted == OrderFilter(),
        states=list(OrderState),
        times=list(By),
    )


async def show(visit: Visit) -> web.Response:
    return await _page(visit, visit.query("id") or "")


async def _page(visit: Visit, order_id: str, *, back: Returned = FRESH, status: int = 200) -> web.Response:
    async with visit.books() as connection:
        try:
            listed = await orders.find_recorded(connection, order_id)
        except OrderNotFound:
            raise not_found(f"There is no order {order_id}") from None
        waiting = ReviewFilter(state="open", order_id=order_id)
        hashes = await challenges.hashes_of(connection, order_id)
        open_reviews = await reviews.newest(connection, waiting, limit=SHOWN)
        steps = await timeline(connection, order_id)
    return visit.page(
        "orders/show.html",
        status=status,
        back=back,
        listed=listed,
        order=listed.order,
        hashes=hashes,
        reviews=open_reviews,
        steps=[timeline_entry(step) for step in steps],
    )


async def cancel(visit: Visit) -> web.Response:
    """Cancel a pending order; the books write the audit."""
    order_id = (await visit.form()).get("id", "")
    try:
        async with visit.books() as connection:
            await orders.cancel(connection, order_id, actor=visit.person.actor, now=datetime.now(UTC))
    except OrderNotFound:
        raise not_found(f"There is no order {order_id}") from None
    except OrderNotPending as error:
        refused = (
            f"Order {order_id} is {error.order.state}: only a pending order can be cancelled. Nothing was changed."
        )
        return visit.to("/orders/show", id=order_id, message=refused, tone=Tone.REFUSED)
    return visit.to("/orders/show", id=order_id, message=f"Order {order_id} is cancelled.")


async def note(visit: Visit) -> web.Response:
    form = await visit.form()
    order_id = form.get("id", "")
    try:
        async with visit.books() as connection:
            await notes.add(connection, NoteThing.ORDER, order_id, form.get("body", ""), author=visit.person.actor)
    except NothingToNote:
        raise not_found(f"There is no order {order_id}") from None
    except InvalidNote as error:
        return await _page(visit, order_id, back=Returned("note", form, {"body": explained(error)}), status=400)
    return visit.to("/orders/show", id=order_id, message="The note is saved.")


SECTION = Section(
    "Orders",
    "/orders",
    (
        page("/orders", list_orders),
        page("/orders/show", show),
        act("/orders/cancel", cancel, needs=Role.OPERATOR),
        act("/orders/note", note),
    ),
)
