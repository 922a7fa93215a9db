"""What keeps a role from working right now, if anything?"""

from collections.abc import Sequence
from typing import Any

from shared.broker.consumer import BatchConsumer
from shared.observe.admin import Readiness
from workers.database import RetryingDatabase


def of_consumers(books: RetryingDatabase, consumers: Sequence[BatchConsumer[Any]]) -> Readiness:
    """While Postgres is away nothing is consumed, so one reason is enough."""
    if books.down_because is not None:
        return Readiness(degraded={"database": books.down_because})
    if not all(consumer.connected for consumer in consumers):
        return Readiness(degraded={"broker": "not consuming: RabbitMQ is away"})
    return Readiness()


def of_publisher(books: RetryingDatabase, broker_down_because: str | None) -> Readiness:
    down = {"broker": broker_down_because, "database": books.down_because}
    return Readiness(degraded={name: why for name, why in down.items() if why is not None})
