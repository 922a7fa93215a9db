"""Every operation of the API: routes and the OpenAPI document are made from this table."""

from typing import Any, Final

from aiohttp import web

from ingress.api.inputs import Nothing
from ingress.api.operation import Thing
from ingress.checkout import challenges, orders, start
from ingress.checkout.call import Call
from ingress.checkout.operation import AnyOperation, public_read
from ingress.checkout.refusals import DOCUMENT


async def describe(call: Call, _request: Nothing) -> web.Response:
    return web.Response(body=call.services.document(), content_type="application/json")


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    *orders.OPERATIONS,
    *start.OPERATIONS,
    *challenges.OPERATIONS,
    public_read("describe", DOCUMENT, "This document; it needs no token.", Nothing, Thing(dict[str, Any]), describe),
)
