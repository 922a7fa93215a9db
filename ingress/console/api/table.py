"""All operations of the API; routes and document are made from this table."""

from typing import Any, Final

from aiohttp import web

from ingress.api.inputs import Nothing
from ingress.api.operation import Thing
from ingress.console.api import (
    audit,
    dead_letters,
    events,
    exports,
    notes,
    orders,
    replays,
    revenue,
    reviews,
    tokens,
    users,
)
from ingress.console.api.call import Call
from ingress.console.api.operation import AnyOperation, read


async def describe(call: Call, _params: Nothing) -> web.Response:
    return web.Response(body=call.document(), content_type="application/json")


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    *orders.OPERATIONS,
    *events.OPERATIONS,
    *reviews.OPERATIONS,
    *dead_letters.OPERATIONS,
    *replays.OPERATIONS,
    *notes.OPERATIONS,
    *audit.OPERATIONS,
    *exports.OPERATIONS,
    *revenue.OPERATIONS,
    *users.OPERATIONS,
    *tokens.OPERATIONS,
    read("describe", "/openapi.json", "This document.", Nothing, Thing(dict[str, Any]), describe),
)
