"""Is this process alive, is it ready, what has it counted? An HTTP server on a port of its own, for operators only."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from shared.observe.listening import bind, port_of


@dataclass(frozen=True, slots=True)
class Readiness:
    """Each check that fails, by name, with what a person should know.

    A `failing` check takes the process out of the load balancer; a `degraded` one is only reported, for troubles
    that every replica shares and that would otherwise remove them all at once.
    """

    failing: Mapping[str, str] = field(default_factory=dict)
    degraded: Mapping[str, str] = field(default_factory=dict)


READY = Readiness()


class AdminServer:
    """Serves /livez, /readyz and /metrics while the context lasts.

    `live` and `ready` are called at each probe and must not block; /livez answers at all only while the event loop
    turns, which is what it proves for processes without a `live` of their own. Raises CannotListen on entry.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        registry: CollectorRegistry,
        ready: Callable[[], Readiness] = lambda: READY,
        live: Callable[[], bool] = lambda: True,
    ) -> None:
        self._host = host
        self._port = port
        self._registry = registry
        self._ready = ready
        self._live = live
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port in use, also when 0 was asked for."""
        return self._port

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        listener = bind(self._host, self._port)
        self._port = port_of(listener)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=75, shutdown_timeout=1)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        live = self._live()
        return _json({"live": live}, status=200 if live else 503)

    async def _readyz(self, _request: web.Request) -> web.Response:
        readiness = self._ready()
        ready = not readiness.failing
        reported = {"failing": dict(readiness.failing), "degraded": dict(readiness.degraded)}
        return _json(
            {"ready": ready, **{name: checks for name, checks in reported.items() if checks}}, 200 if ready else 503
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        # In a thread: a registry of many series takes milliseconds to print, which the hot path should not wait for.
        text = await asyncio.to_thread(generate_latest, self._registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _json(document: Mapping[str, object], status: int) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")
