"""Reads every so often what waits in the books and in RabbitMQ, beside the dead-letters role."""

from typing import Final

from shared.broker.depths import Depth, connected, depth_of
from shared.broker.topology import CONSUMER_ROLES, RETRY_TIERS
from shared.ledger import database
from shared.ledger.database import Pool
from shared.ledger.standing import backlog
from workers.housekeeping import Housekeeping
from workers.overview.metrics import OverviewMetrics

PERIOD_SECONDS: Final = 20.0
RETRY_SECONDS: Final = 60.0
"""Pause after a failure. The gauges keep what was read last."""
QUEUES: Final = (*CONSUMER_ROLES, *(tier.queue for tier in RETRY_TIERS))
MISSING: Final = Depth(messages=0, consumers=0)


def overview(
    pool: Pool, amqp_url: str, metrics: OverviewMetrics, *, period: float = PERIOD_SECONDS
) -> list[Housekeeping]:
    """Two readings, so that neither server's absence keeps the other from being read."""

    async def read_books() -> float:
        async with database.connected(pool) as connection:
            metrics.books(await backlog(connection))
        return period

    async def read_queues() -> float:
        async with connected(amqp_url, name="kessai worker overview") as connection:
            for queue in QUEUES:
                depth = await depth_of(queue, connection) or MISSING
                metrics.queue(queue, depth, must_be_consumed=queue in CONSUMER_ROLES)
        return period

    return [
        Housekeeping("reading what waits in the books", read_books, retry=RETRY_SECONDS),
        Housekeeping("reading what waits in RabbitMQ", read_queues, retry=RETRY_SECONDS),
    ]
