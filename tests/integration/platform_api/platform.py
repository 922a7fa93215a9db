"""A platform on a real socket: it records what it is asked and answers what the test put into its script."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.sdrp.api.access import Access
from shared.sdrp.api.retries import Patience
from shared.sdrp.api.transport import Transport

TOKEN = "tok_that_nobody_may_see"
QUICK = Patience(connect=2.0, attempt=2.0, deadline=5.0, first_wait=0.01, longest_wait=0.05)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Received:
    method: str
    raw_path: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass(slots=True)
class Platform:
    """Answers in the order of `script`, the last one again and again."""

    base_url: str = ""
    script: list[Handler] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)

    def answers(self, *script: Handler) -> None:
        self.script[:] = script
        self.received.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        at = asyncio.get_running_loop().time()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.method, request.raw_path, headers, body, at))
        handler = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await handler(request)


@asynccontextmanager
async def platform() -> AsyncIterator[Platform]:
    there = Platform()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", there.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        there.base_url = f"http://127.0.0.1:{server.port}/v1"
        yield there


def transport(there: Platform, *, patience: Patience = QUICK, max_answer: int = 1 << 20) -> Transport:
    return Transport(Access.of(TOKEN, base_url=there.base_url), patience=patience, max_answer=max_answer)


def data(value: object, *, status: int = 200) -> Handler:
    """As the platform wraps it."""
    return raw(orjson.dumps({"data": value, "meta": {"request_id": "req_1"}}), status=status)


def refusal(status: int, code: str = "SOME_CODE", message: str = "because", **headers: str) -> Handler:
    body = orjson.dumps({"error": {"code": code, "message": message}})
    return raw(body, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})


def raw(
    body: bytes, *, status: int = 200, content_type: str = "application/json", headers: dict[str, str] | None = None
) -> Handler:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, content_type=content_type, headers=headers)

    return handler


def hang_up(after: bytes | None = None, *, length: int | None = None) -> Handler:
    """Cut the connection: at once, or in the middle of an answer."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={} if length is None else {"Content-Length": str(length)})
        if after is not None:
            await response.prepare(request)
            await response.write(after)
            await asyncio.sleep(0.02)
        assert request.transport is not None
        request.transport.abort()
        return response

    return handler


def slow(seconds: float, then: Handler) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await then(request)

    return handler


def streamed(pieces: AsyncGenerator[bytes, None], **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={name.replace("_", "-"): value for name, value in headers.items()})
        await response.prepare(request)
        async with aclosing(pieces):
            async for piece in pieces:
                await response.write(piece)
        return response

    return handler


def by_cursor(pages: dict[str | None, dict[str, Any]]) -> Handler:
    """A list: the page of each cursor."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": pages[request.query.get("cursor")]})

    return handler
