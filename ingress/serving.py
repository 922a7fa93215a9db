"""How does an API or a site come up beside its admin server, and go down when its process is asked to stop?"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import structlog
import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry

from ingress.api.health import Health, checking
from shared.errors import DatabaseUnavailable
from shared.ledger.database import Pool, TransientConflict, run
from shared.ledger.rights import require_usable
from shared.observe.admin import AdminServer
from shared.observe.database_up import DatabaseUp
from shared.observe.listening import BACKLOG, bind, port_of
from shared.stopping import stop_at_signals

CHECK_SECONDS = 2.0
"""How long the check of the books may delay the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress:
    """Where a server takes requests, and where it serves /livez, /readyz and /metrics; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int
    admin_host: str = "127.0.0.1"
    admin_port: int


def run_until_signalled(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `serve` with an event that SIGTERM and SIGINT set."""

    async def run() -> None:
        await serve(stop_at_signals())

    uvloop.run(run())


async def serve_app(
    app: web.Application,
    address: ListenAddress,
    *,
    name: str,
    pool: Pool,
    registry: CollectorRegistry,
    drain_timeout: float,
    log: structlog.stdlib.BoundLogger,
    stop: asyncio.Event,
) -> None:
    """Serve `app` until `stop` is set, then finish the requests that have begun.

    Raises CannotListen, and BooksUnusable when Postgres answers at the start but no wait can make the books usable.

    `pool` is watched for /readyz. The log says `<name>.started`, `<name>.draining` and `<name>.stopped`.
    """
    started, draining, stopped = (f"{name}.{state}" for state in ("started", "draining", "stopped"))
    health = Health()
    await _check_books(pool)
    DatabaseUp(registry).watch(lambda: health.books_away_because is None)
    async with AsyncExitStack() as stack:
        bound = bind(address.host, address.port)
        stack.callback(bound.close)
        admin = await stack.enter_async_context(
            AdminServer(address.admin_host, address.admin_port, registry=registry, ready=health.readiness)
        )
        await stack.enter_async_context(checking(health, pool, log))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_timeout(drain_timeout))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, bound, backlog=BACKLOG).start()
        health.is_listening = True
        log.info(started, host=address.host, port=port_of(bound), admin_port=admin.port)
        await stop.wait()
        health.is_listening = False
        log.info(draining)
    log.info(stopped)


async def _check_books(pool: Pool) -> None:
    """A server starts without Postgres, so only what Postgres says at once counts."""
    with suppress(DatabaseUnavailable, TransientConflict, TimeoutError):
        async with asyncio.timeout(CHECK_SECONDS):
            await run(pool, require_usable)


def shutdown_timeout(drain_timeout: float) -> float:
    """Seconds that aiohttp may wait for open requests within the whole drain time.

    aiohttp waits twice at worst: for the handlers to end, and then for those that it cancelled.
    """
    return max(0.5, drain_timeout / 2 - 0.5)
