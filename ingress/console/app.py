"""How does `kessai console` come up, stay up and go down?"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address

import structlog
import uvloop
from aiohttp import web

from ingress.console.access.requests import Frontier
from ingress.console.api.call import EXPORTS_AT_ONCE
from ingress.console.api.door import Api
from ingress.console.metrics import ConsoleMetrics
from ingress.console.plans import AT_ONCE, Plans
from ingress.console.queues import Queues
from ingress.console.site import Site
from shared.errors import DatabaseUnavailable
from shared.ledger.database import Pool, connected, open_pool
from shared.observe import log as logging
from shared.observe.admin import AdminServer, Readiness
from shared.observe.listening import BACKLOG, bind, port_of
from shared.observe.metrics import new_registry
from shared.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")

STATEMENT_TIMEOUT = 10.0
"""Seconds a page may ask Postgres for: a person who waits longer reloads, and asks twice."""
LOOK_EVERY = 5.0
"""Seconds between two looks whether the books are there."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the console listens; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 8070
    admin_host: str = "127.0.0.1"
    admin_port: int = 9070


def run(settings: Settings, listen: Listen) -> None:
    """Serve until SIGTERM or SIGINT. Raises KessaiError."""
    logging.configure(style=settings.log_format, level=settings.log_level)
    uvloop.run(_serve_until_signalled(settings, listen))


async def _serve_until_signalled(settings: Settings, listen: Listen) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, listen, stop=stop)


async def serve(settings: Settings, listen: Listen, *, stop: asyncio.Event) -> None:
    """Serve pages until `stop` is set, then finish those that have begun.

    Starts without Postgres and says so on its pages until it is there. Raises KessaiError when it cannot start.
    """
    registry = new_registry()
    frontier = Frontier(
        settings.believed_proxies(),
        settings.tls_proxies(),
        settings.origin_of_console(),
        is_loopback=_is_loopback(listen.host),
    )
    roles = settings.roles_of_groups()
    async with AsyncExitStack() as stack:
        pool = await open_pool(
            settings.require_database_url(),
            application="kessai console",
            size=settings.database_pool,
            statement_timeout=min(STATEMENT_TIMEOUT, settings.statement_timeout),
            keys_only=True,
        )
        stack.callback(pool.terminate)
        plans = await _plans(settings, stack)
        patient = await open_pool(
            settings.require_database_url(),
            application="kessai console: exports",
            size=EXPORTS_AT_ONCE,
            statement_timeout=settings.statement_timeout,
        )
        stack.callback(patient.terminate)
        bound = bind(listen.host, listen.port)
        stack.callback(bound.close)
        health = Health()
        admin = await stack.enter_async_context(
            AdminServer(listen.admin_host, listen.admin_port, registry=registry, ready=health.readiness)
        )
        api = Api(
            pool=pool,
            patient=patient,
            plans=plans,
            frontier=frontier,
            shops=settings.shops(),
            approvals=settings.review_approvals,
        )
        site = Site(
            pool=pool,
            frontier=frontier,
            roles=roles,
            metrics=ConsoleMetrics(registry),
            plans=plans,
            shops=settings.shops(),
            approvals=settings.review_approvals,
            queues=Queues(settings.require_amqp_url()) if settings.amqp_url is not None else None,
            api=api.app,
        )
        await stack.enter_async_context(_looking(health, pool))
        runner = web.AppRunner(site.app, access_log=None, shutdown_timeout=max(0.5, settings.drain_timeout / 2 - 0.5))
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, bound, backlog=BACKLOG).start()
        health.is_listening = True
        log.info("console.started", host=listen.host, port=port_of(bound), admin_port=admin.port)
        await stop.wait()
        health.is_listening = False
        log.info("console.draining")
    log.info("console.stopped")


async def _plans(settings: Settings, stack: AsyncExitStack) -> Plans:
    """With connections of its own: a large plan takes longer than a page may, and must not keep pages waiting."""
    pools = [
        await open_pool(
            settings.require_database_url(),
            application="kessai console: plans",
            size=AT_ONCE,
            statement_timeout=settings.statement_timeout,
            keys_only=as_worker,
        )
        for as_worker in (False, True)
    ]
    for pool in pools:
        stack.callback(pool.terminate)
    return Plans(books=pools[0], handlers=pools[1], shops=settings.shops())


@dataclass(slots=True)
class Health:
    """What /readyz says. An absent Postgres is told, not failed: the page that says so must be reached."""

    is_listening: bool = False
    books_away_because: str | None = None

    def readiness(self) -> Readiness:
        failing = {} if self.is_listening else {"listening": "not listening"}
        degraded = {"postgres": self.books_away_because} if self.books_away_because is not None else {}
        return Readiness(failing, degraded)


@asynccontextmanager
async def _looking(health: Health, pool: Pool) -> AsyncIterator[None]:
    looking = asyncio.create_task(_keep_looking(health, pool), name="console: looks for the books")
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _keep_looking(health: Health, pool: Pool) -> None:
    while True:
        before = health.books_away_because
        try:
            async with connected(pool) as connection:
                await connection.execute("SELECT FROM kessai.users LIMIT 1")
            health.books_away_because = None
        except DatabaseUnavailable as error:
            health.books_away_because = str(error)
        if (before is None) != (health.books_away_because is None):
            log.warning("console.books", away=health.books_away_because)
        await asyncio.sleep(LOOK_EVERY)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
