"""How does `kessai ingress` come up, stay up and go down? The composition of the webhook door."""

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

from ingress.webhooks.connection import Door, Handler, Limits
from ingress.webhooks.metrics import UNKNOWN_ENDPOINT, IngressMetrics
from ingress.webhooks.receive import Reception
from ingress.webhooks.renewal import Renewal
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


LOOK_AGAIN_SECONDS = 5.0
"""Between looks at a topology that was not as it should be."""


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
    uvloop.run(_serve_until_signalled(settings, listen, stop_at_eof))


def configure_log(settings: Settings, endpoints: Iterable[Endpoint]) -> None:
    """Strikes out the endpoints' secrets wherever they occur."""
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
    stop, renew = stop_at_signals(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, renew.set)
    if stop_at_eof is not None:
        loop.add_reader(stop_at_eof, stop.set)
    await serve(settings, listen, stop=stop, renew=renew)


async def serve(settings: Settings, listen: Listen, *, stop: asyncio.Event, renew: asyncio.Event | None = None) -> None:
    """Take webhooks until `stop` is set, then answer what has begun and close. `renew` has secrets read anew.

    Starts without RabbitMQ and answers 503 until it is there. Raises KessaiError when it cannot start.
    """
    endpoints = settings.endpoints()
    registry = new_registry()
    metrics = IngressMetrics(registry)
    bound = bind(listen.host, listen.port, reuse_port=listen.share_port)
    kept_topology = KeptTopology(settings)
    publisher = _publisher(settings, kept_topology)
    reception = Reception(endpoints=endpoints, sink=publisher, metrics=metrics, max_body=settings.max_body)
    renewal = Renewal(endpoints, reception, metrics, strike_out=partial(configure_log, settings))
    health = Health(publisher, kept_topology)
    async with AsyncExitStack() as stack:
        stack.callback(bound.close)
        admin = await stack.enter_async_context(
            AdminServer(listen.admin_host, listen.admin_port, registry=registry, ready=health.readiness)
        )
        await stack.enter_async_context(publisher)
        kept_topology.require()
        stack.callback(asyncio.create_task(kept_topology.look_again()).cancel)
        door = await stack.enter_async_context(
            open_door(reception, bound, limits=_limits(settings), metrics=metrics, drain_seconds=_drain(settings))
        )
        health.door = door
        metrics.watch(
            in_flight=lambda: reception.in_flight,
            connections=lambda: door.open_connections,
            broker_ready=lambda: publisher.ready,
        )
        if renew is not None:
            await stack.enter_async_context(renewal.on(renew))
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
        log.info("ingress.draining", in_flight=reception.in_flight, connections=door.open_connections)
    log.info("ingress.stopped", unanswered=reception.in_flight)


def _publisher(settings: Settings, kept_topology: "KeptTopology") -> Publisher:
    return Publisher(
        settings.require_amqp_url(),
        name="kessai ingress",
        timeout=settings.publish_timeout,
        max_in_flight=settings.max_in_flight,
        prepare=kept_topology,
    )


@asynccontextmanager
async def open_door(
    handler: Handler, bound: socket, *, limits: Limits, metrics: IngressMetrics, drain_seconds: float
) -> AsyncIterator[Door]:
    """Serve `handler` on a bound socket; on exit stop accepting and give open requests `drain_seconds` to end."""

    def answered(status: int, reason: str) -> None:
        metrics.answered(UNKNOWN_ENDPOINT, str(status), reason)

    door = Door(handler, limits=limits, answered=answered)
    runner = web.ServerRunner(door, shutdown_timeout=drain_seconds)
    await runner.setup()
    await web.SockSite(runner, bound, backlog=BACKLOG).start()
    try:
        yield door
    finally:
        await runner.cleanup()


class Health:
    """What /readyz says.

    RabbitMQ's absence does not make a replica unready: it would remove every replica at once, and the sender would
    see refused connections where a 503 with Retry-After is due. A topology that was never right does: what would have
    forbidden the start, had RabbitMQ been there.
    """

    def __init__(self, publisher: Publisher, kept_topology: "KeptTopology") -> None:
        self._publisher = publisher
        self._topology = kept_topology
        self.door: Door | None = None

    def readiness(self) -> Readiness:
        failing: dict[str, str] = {}
        degraded: dict[str, str] = {}
        if self.door is None:
            failing["listening"] = "not listening yet"
        elif self.door.draining:
            failing["listening"] = "draining"
        if self._topology.mismatch is not None:
            (degraded if self._topology.was_right else failing)["topology"] = str(self._topology.mismatch)
        if not self._publisher.ready:
            degraded["broker"] = self._publisher.down_because or "RabbitMQ does not confirm"
        return Readiness(failing, degraded)


class KeptTopology:
    """Declares or verifies whenever RabbitMQ is there again: it may have come back empty."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.require_amqp_url()
        self._may_declare = settings.topology is TopologyMode.DECLARE
        self._is_serving = False
        self.mismatch: topology.TopologyMismatch | None = None
        """As RabbitMQ last stood."""
        self.was_right = False
        """Once, since the start."""

    async def __call__(self) -> None:
        """While serving, a mismatch is told and no more: what still works should go on. Raises BrokerUnavailable."""
        try:
            await topology.ensure(self._url, may_declare=self._may_declare)
        except topology.TopologyMismatch as mismatch:
            if self._is_serving and str(mismatch) != str(self.mismatch):
                log.error("broker.topology_mismatch", error=str(mismatch))
            self.mismatch = mismatch
        else:
            self.mismatch, self.was_right = None, True

    async def look_again(self) -> None:
        """As long as there is a mismatch: whoever mends it should not have to restart us."""
        while True:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            if self.mismatch is not None:
                with suppress(BrokerUnavailable):
                    await self()

    def require(self) -> None:
        """For the start, where nothing works yet. Raises TopologyMismatch."""
        if self.mismatch is not None:
            raise self.mismatch
        self._is_serving = True


def _limits(settings: Settings) -> Limits:
    return Limits(request_seconds=settings.body_deadline, connections=settings.max_connections)


def _drain(settings: Settings) -> float:
    """Seconds for open requests, so that the publisher's last confirms still fit into the whole drain time.

    aiohttp spends it twice at worst: once waiting for handlers, once for those it then cancels.
    """
    return max(0.5, (settings.drain_timeout - settings.publish_timeout) / 2 - 0.5)
