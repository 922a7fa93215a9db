"""How does `kessai ingress` come up, stay up and go down? The composition of the webhook server."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from socket import socket

import structlog
import uvloop
from aiohttp import http_parser, web

from ingress.webhooks.connection import Handler, Limits, WebhookServer
from ingress.webhooks.key_reloader import KeyReloader
from ingress.webhooks.metrics import UNKNOWN_ENDPOINT, IngressMetrics
from ingress.webhooks.open_files import connections_that_fit
from ingress.webhooks.receive import WebhookHandler
from shared.broker import topology
from shared.broker.publisher import Publisher
from shared.endpoints import Endpoint
from shared.errors import BrokerUnavailable, KessaiError
from shared.garbage import collect_rarely
from shared.observe import log as logging
from shared.observe.admin import AdminServer, Readiness
from shared.observe.listening import BACKLOG, bind, port_of
from shared.observe.metrics import new_registry
from shared.settings import Settings, TopologyMode
from shared.stopping import stop_at_signals

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.ingress")


RECHECK_SECONDS = 5.0
"""Between checks of a topology that was not as it should be."""


class MissingParser(KessaiError):
    """aiohttp would parse requests in pure Python: slower by far, and another reading of HTTP than the one tested."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where one ingress process listens; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int = 9080
    share_port: bool = False
    """With sibling processes, by SO_REUSEPORT."""


def run(settings: Settings, listen: Listen, *, stop_at_eof: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT, or until the file descriptor `stop_at_eof` ends. Raises KessaiError."""
    configure_log(settings, require_startable(settings).values())
    if stop_at_eof is None:  # the supervisor of several processes logs it once for all
        logging.warn_of_unknown_settings(settings.unknown)
    uvloop.run(_serve_until_signalled(settings, listen, stop_at_eof))


def configure_log(settings: Settings, endpoints: Iterable[Endpoint]) -> None:
    """Configure the log, which redacts the endpoints' secrets wherever they occur."""
    logging.configure(
        style=settings.log_format,
        level=settings.log_level,
        secrets=[secret.key.decode() for endpoint in endpoints for secret in endpoint.secrets],
    )


def require_startable(settings: Settings) -> Mapping[str, Endpoint]:
    """The configured endpoints. Raises KessaiError for whatever forbids a start before any port is opened."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise MissingParser(
            "aiohttp runs without its C parser: unset AIOHTTP_NO_EXTENSIONS, or install aiohttp's binary wheel"
        )
    settings.require_amqp_url()
    return settings.endpoints()


async def _serve_until_signalled(settings: Settings, listen: Listen, stop_at_eof: int | None) -> None:
    stop, reload = stop_at_signals(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    if stop_at_eof is not None:
        loop.add_reader(stop_at_eof, stop.set)
    await serve(settings, listen, stop=stop, reload=reload)


async def serve(
    settings: Settings, listen: Listen, *, stop: asyncio.Event, reload: asyncio.Event | None = None
) -> None:
    """Take webhooks until `stop` is set, then answer what has begun and close. `reload` has it read secrets again.

    Starts without RabbitMQ and answers 503 until it is there. Raises KessaiError when it cannot start.
    """
    endpoints = settings.endpoints()
    registry = new_registry()
    metrics = IngressMetrics(registry)
    bound = bind(listen.host, listen.port, reuse_port=listen.share_port)
    topology_checker = TopologyChecker(settings)
    publisher = _publisher(settings, topology_checker)
    handler = WebhookHandler(endpoints=endpoints, sink=publisher, metrics=metrics, max_body=settings.max_body)
    key_reloader = KeyReloader(endpoints, handler, metrics, redact_secrets=partial(configure_log, settings))
    health = Health(publisher, topology_checker)
    async with AsyncExitStack() as stack:
        stack.callback(bound.close)
        admin = await stack.enter_async_context(
            AdminServer(listen.admin_host, listen.admin_port, registry=registry, ready=health.readiness)
        )
        await stack.enter_async_context(publisher)
        topology_checker.require()
        stack.callback(asyncio.create_task(topology_checker.recheck()).cancel)
        server = await stack.enter_async_context(
            open_server(handler, bound, limits=_limits(settings), metrics=metrics, drain_seconds=_drain(settings))
        )
        health.server = server
        metrics.watch(
            in_flight=lambda: handler.in_flight,
            connections=lambda: server.open_connections,
            broker_ready=lambda: publisher.ready,
        )
        if reload is not None:
            await stack.enter_async_context(key_reloader.reloading_on(reload))
        collect_rarely()
        log.info(
            "ingress.started",
            host=listen.host,
            port=port_of(bound),
            admin_port=admin.port,
            endpoints=sorted(endpoints),
            broker="ready" if publisher.ready else publisher.down_because or "not confirming",
        )
        await stop.wait()
        log.info("ingress.draining", in_flight=handler.in_flight, connections=server.open_connections)
    log.info("ingress.stopped", unanswered=handler.in_flight)


def _publisher(settings: Settings, topology_checker: "TopologyChecker") -> Publisher:
    return Publisher(
        settings.require_amqp_url(),
        name="kessai ingress",
        timeout=settings.publish_timeout,
        max_in_flight=settings.max_in_flight,
        prepare=topology_checker,
    )


@asynccontextmanager
async def open_server(
    handler: Handler, bound: socket, *, limits: Limits, metrics: IngressMetrics, drain_seconds: float
) -> AsyncIterator[WebhookServer]:
    """Serve `handler` on a bound socket; on exit stop accepting and give open requests `drain_seconds` to end."""

    def count_answer(status: int, reason: str) -> None:
        metrics.answered(UNKNOWN_ENDPOINT, str(status), reason)

    server = WebhookServer(handler, limits=limits, on_answer=count_answer)
    runner = web.ServerRunner(server, shutdown_timeout=drain_seconds)
    await runner.setup()
    await web.SockSite(runner, bound, backlog=BACKLOG).start()
    try:
        yield server
    finally:
        await runner.cleanup()


class Health:
    """Decides what /readyz answers.

    RabbitMQ's absence does not make a replica unready: it would remove every replica at once, and the sender would
    see refused connections where a 503 with Retry-After is due. A topology that was never valid does make it unready,
    because it would have forbidden the start if RabbitMQ had been there.
    """

    def __init__(self, publisher: Publisher, topology_checker: "TopologyChecker") -> None:
        self._publisher = publisher
        self._topology = topology_checker
        self.server: WebhookServer | None = None

    def readiness(self) -> Readiness:
        failing: dict[str, str] = {}
        degraded: dict[str, str] = {}
        if self.server is None:
            failing["listening"] = "not listening yet"
        elif self.server.draining:
            failing["listening"] = "draining"
        if self._topology.mismatch is not None:
            (degraded if self._topology.was_valid else failing)["topology"] = str(self._topology.mismatch)
        if not self._publisher.ready:
            degraded["broker"] = self._publisher.down_because or "RabbitMQ does not confirm"
        return Readiness(failing, degraded)


class TopologyChecker:
    """Declares or verifies the topology whenever RabbitMQ is there again: it may have come back empty."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.require_amqp_url()
        self._may_declare = settings.topology is TopologyMode.DECLARE
        self._is_serving = False
        self.mismatch: topology.TopologyMismatch | None = None
        """What was wrong at the last check; None when nothing was."""
        self.was_valid = False
        """Whether any check since the start has found it valid."""

    async def __call__(self) -> None:
        """Check once. While serving, a mismatch is only logged: the rest still works. Raises BrokerUnavailable."""
        try:
            await topology.ensure(self._url, may_declare=self._may_declare)
        except topology.TopologyMismatch as mismatch:
            if self._is_serving and str(mismatch) != str(self.mismatch):
                log.error("broker.topology_mismatch", error=str(mismatch))
            self.mismatch = mismatch
        else:
            self.mismatch, self.was_valid = None, True

    async def recheck(self) -> None:
        """Check again as long as there is a mismatch, so that mending it needs no restart."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            if self.mismatch is not None:
                with suppress(BrokerUnavailable):
                    await self()

    def require(self) -> None:
        """Allow the start. Raises TopologyMismatch when the topology is not valid."""
        if self.mismatch is not None:
            raise self.mismatch
        self._is_serving = True


def _limits(settings: Settings) -> Limits:
    connections = connections_that_fit(settings.max_connections)
    return Limits(request_seconds=settings.body_deadline, connections=connections)


def _drain(settings: Settings) -> float:
    """Seconds for open requests, so that the publisher's last confirms still fit into the whole drain time.

    aiohttp spends it twice at worst: once waiting for handlers, once for those it then cancels.
    """
    return max(0.5, (settings.drain_timeout - settings.publish_timeout) / 2 - 0.5)
