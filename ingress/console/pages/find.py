"""Somebody has an id and wants what it names: an order, an event, a challenge, a review or a dead letter."""

from typing import NamedTuple

from aiohttp import web

from ingress.console.sections import Section, page
from ingress.console.shown import link
from ingress.console.visit import Visit
from shared.ledger import events
from shared.ledger.browse import dead_letters as letter_pages
from shared.ledger.browse import orders as order_pages
from shared.ledger.browse import reviews as review_pages
from shared.ledger.database import Connection
from shared.ledger.events import EventNotFound


class Match(NamedTuple):
    what: str
    name: str
    told: str
    address: str


async def find(visit: Visit) -> web.Response:
    """Straight to the only match; a list when there are several."""
    text = visit.asked("q")
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
    order_id = await order_pages.order_of_challenge(connection, text) or text
    listed = await order_pages.find(connection, order_id)
    if listed is None:
        return []
    told = listed.order.state if order_id == text else f"{listed.order.state}, by its challenge"
    return [Match("Order", order_id, told, link("/orders/show", id=order_id))]


async def _event(connection: Connection, text: str) -> list[Match]:
    try:
        event = await events.find(connection, text)
    except EventNotFound:
        return []
    address = link("/events/show", endpoint=event.endpoint, id=event.event_id)
    return [Match("Event", event.event_id, f"{event.outcome}, at {event.endpoint}", address)]


async def _numbered(connection: Connection, number: int) -> list[Match]:
    found = []
    review = await review_pages.find(connection, number)
    if review is not None:
        found.append(Match("Review", str(number), f"{review[0].state}: {review[0].reason}", f"/reviews/{number}"))
    letter = await letter_pages.find(connection, number)
    if letter is not None:
        told = f"{letter[0].state}: {letter[0].reason}"
        found.append(Match("Dead letter", str(number), told, f"/dead-letters/{number}"))
    return found


SECTION = Section("Find", "/find", (page("/find", find),), is_in_menu=False)
