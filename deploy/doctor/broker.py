"""Is RabbitMQ there, in the form needed, and does anyone consume?"""

from collections.abc import AsyncIterator

from aiormq.connection import Connection

from deploy.doctor.finding import BROKER, TOPOLOGY, Finding, fail, of_queue, ok, warn
from shared.broker import topology
from shared.broker.depths import Depth, connected, depth_of
from shared.broker.topology import CONSUMER_ROLES, TopologyMismatch
from shared.errors import KessaiError
from shared.plurals import counted
from shared.settings import Settings

OLDEST_RABBITMQ = (3, 10)


async def examine_broker(settings: Settings) -> AsyncIterator[Finding]:
    try:
        url = settings.require_amqp_url()
        async with connected(url) as connection:
            yield _server(connection)
            yield await _topology(url)
            for queue, role in CONSUMER_ROLES.items():
                depth = await depth_of(queue, connection)
                if depth is not None:  # otherwise the topology check reports it
                    yield _consumed(queue, role, depth)
    except KessaiError as error:
        yield fail(
            BROKER, str(error), "check KESSAI_AMQP_URL and that RabbitMQ runs; the ingress answers 503 until then"
        )


def _server(connection: Connection) -> Finding:
    properties = connection.server_properties
    product, version = str(properties.get("product", "an AMQP server")), str(properties.get("version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if product != "RabbitMQ" or numbers < OLDEST_RABBITMQ:
        return warn(BROKER, f"{product} {version}", "Kessai needs RabbitMQ 3.10 or later: quorum queues")
    return ok(BROKER, f"{version} answers")


async def _topology(url: str) -> Finding:
    try:
        await topology.verify(url)
    except TopologyMismatch as mismatch:
        return fail(TOPOLOGY, str(mismatch), "run `kessai topology apply`")
    return ok(TOPOLOGY, "every exchange and queue is there in the form needed")


def _consumed(queue: str, role: str, depth: Depth) -> Finding:
    found = f"{counted(depth.messages, 'message')} waiting, {counted(depth.consumers, 'consumer')}"
    if depth.consumers == 0 and depth.messages:
        return fail(of_queue(queue), found, f"nobody consumes them: run `kessai worker {role}`")
    if depth.consumers == 0:
        return warn(of_queue(queue), found, f"run `kessai worker {role}`")
    return ok(of_queue(queue), found)
