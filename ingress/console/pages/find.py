"""Finds what an id names: an order, an event, a challenge, a review or a dead letter."""

from contextlib import suppress
from typing import NamedTuple

from aiohttp import web

from ingress.console.formats import link
from ingress.console.sections import Section, page
from ingress.console.visit import Visit
from shared.ledger import challenges, dead_letter_search, events, orders, reviews
from shared.ledger.database import Connection
from shared.ledger.dead_letter_search import DeadLetterNotFound
from shared.ledger.events import EventNotFound
from shared.ledger.orders import OrderNotFound
from shared.ledger.reviews import ReviewNotFound


class Match(NamedTuple):
    what: str
    name: str
    state: str
    address: str


async def find(visit: Visit) -> web.Response:
    """Redirect to the only match, or show a list when there are several."""
    text = visit.query("q")
    if text is None:
        return visit.page("find.html", text=None, matches=[])
    async with visit.books() as connection:
        matches = await _matches(connection, text)
    if len(matches) == 1:
        return visit.to(matches[0].address)
    return visit.page("find.html", text=text, matches=matches, status=200 if matches else 404)


async def _matches(connection: Connection, text: str) -> list[Match]:
    found = [*await _order(connection, text), *await _event(connection, text)]
    if text.isascii() and text.isdigit() and len(text) < 19:
        found += await _numbered(connection, int(text))
    return found


async def _order(connection: Connection, text: str) -> list[Match]:
    order_id = await challenges.order_of(connection, text) or text
    try:
        order = await orders.find(connection, order_id)
    except OrderNotFound:
        return []
    state = order.state if order_id == text else f"{order.state}, by its challenge"
    return [Match("Order", order_id, state, link("/orders/show", id=order_id))]


async def _event(connection: Connection, text: str) -> list[Match]:
    try:
        event = await events.find(connection, text)
    except EventNotFound:
        return []
    address = link("/events/show", endpoint=event.endpoint, id=event.event_id)
    return [Match("Event", event.event_id, f"{event.outcome}, at {event.endpoint}", address)]


async def _numbered(connection: Connection, number: int) -> list[Match]:
    found = []
    with suppress(ReviewNotFound):
        review, _ = await reviews.find(connection, number)
        found.append(Match("Review", str(number), f"{review.state}: {review.reason}", f"/reviews/{number}"))
    with suppress(DeadLetterNotFound):
        letter, _ = await dead_letter_search.find(connection, number)
        found.append(Match("Dead letter", str(number), f"{letter.state}: {letter.reason}", f"/dead-letters/{number}"))
    return found


SECTION = Section("Find", "/find", (page("/find", find),), is_in_menu=False)
