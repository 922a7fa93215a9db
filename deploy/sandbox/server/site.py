"""How is a request handled? Faults first, then the caller and the route, then the platform, then the courier."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import chain
from typing import Final

from aiohttp import web

from deploy.sandbox.core.faults import Fault
from deploy.sandbox.core.platform import Platform
from deploy.sandbox.core.refusal import Refused
from deploy.sandbox.server import buyer_api, merchant_api, statement_api, webhook_api
from deploy.sandbox.server.call import Answer, File, Handler, Route, read_call, refuse, respond

ROUTES: Final[Iterable[Route]] = tuple(
    chain(merchant_api.ROUTES, buyer_api.ROUTES, statement_api.ROUTES, webhook_api.ROUTES)
)
BAD_GATEWAY: Final = 502
"""The one server error that comes after the work was done: its answer is lost."""


class Api:
    """The platform's HTTP API. `moved` is called whenever something may be due."""

    def __init__(self, platform: Platform, *, root_url: str, moved: Callable[[], None]) -> None:
        self._platform = platform
        self._root_url = root_url
        self._moved = moved

    def routes(self) -> list[web.RouteDef]:
        return [web.route(route.method, route.path, self._handler(route.handler)) for route in ROUTES]

    def _handler(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            limited = await self._delayed_and_limited()
            if limited is not None:
                return limited
            error = self._server_error()
            if error is not None and error != BAD_GATEWAY:
                return _broken(error)
            answered = await self._answer(handler, request)
            return answered if error is None else _broken(error)

        return answer

    async def _answer(self, handler: Handler, request: web.Request) -> web.Response:
        call = await read_call(request, self._platform, self._root_url)
        try:
            call.token  # noqa: B018 - refuses a call without a token, whatever the route
            answer: Answer | File = handler(call)
        except Refused as refused:
            return refuse(refused)
        self._moved()
        return respond(answer)

    async def _delayed_and_limited(self) -> web.Response | None:
        faults = self._platform.faults
        late, retry_after = faults.seconds(Fault.SLOW), faults.seconds(Fault.RATE_LIMIT)
        if faults.strikes(Fault.SLOW):
            await asyncio.sleep(late)
        if faults.strikes(Fault.RATE_LIMIT):
            limited = Refused(429, "RATE_LIMITED", "too many requests: wait as Retry-After says")
            return refuse(limited, headers={"Retry-After": str(round(retry_after))})
        return None

    def _server_error(self) -> int | None:
        faults = self._platform.faults
        return faults.pick(Fault.SERVER_ERROR, (500, 502, 503)) if faults.strikes(Fault.SERVER_ERROR) else None


@web.middleware
async def in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """What no route answers is refused in the API's own shape."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400 or not request.path.startswith(("/v1/", "/sandbox")):
            raise
        code = "ROUTE_NOT_FOUND" if error.status == 404 else error.reason.upper().replace(" ", "_")
        return refuse(Refused(error.status, code, f"{request.method} {request.path[:200]}: {error.reason.lower()}"))


def _broken(status: int) -> web.Response:
    return refuse(Refused(status, "SERVER_ERROR", "the sandbox has this fault switched on"))
