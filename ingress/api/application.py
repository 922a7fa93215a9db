"""Serves an API: authenticates each call, carries out its operation, and answers in JSON in every case."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ingress.api.operation import Operation
from ingress.api.problems import INTERNAL, Refused

AnyOperation = Operation[Any, Any]


def application(
    operations: Sequence[AnyOperation],
    *,
    admit: Callable[[web.Request], Awaitable[None]],
    enter: Callable[[Any, web.Request], Awaitable[web.StreamResponse]],
    refusal_of: Callable[[Exception], Refused],
    log: structlog.stdlib.BoundLogger,
    around: Sequence[Middleware] = (),
) -> web.Application:
    """An application with the routes of a table. `admit` checks every call, `enter` carries it out.

    `around` are middlewares that see every call and its answer.
    """

    @web.middleware
    async def through(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            await admit(request)
            return await handler(request)
        except Exception as error:
            refused = refusal_of(error)
            if refused.kind is INTERNAL:
                log.exception("api.failed", path=request.path, method=request.method)
            elif refused.kind.status >= 500:
                log.warning("api.unavailable", path=request.path, error=f"{type(error).__name__}: {error}")
            return refused.response()

    app = web.Application(middlewares=[*around, through])
    for operation in operations:
        app.router.add_route(operation.method, operation.route, _entering(operation, enter))
    return app


def _entering(operation: AnyOperation, enter: Callable[[Any, web.Request], Awaitable[web.StreamResponse]]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await enter(operation, request)

    return handle
