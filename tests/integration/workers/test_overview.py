"""What waits in the books and in RabbitMQ is exported, and reading it is cheap."""

import time

from prometheus_client import CollectorRegistry

from shared.broker.topology import CONFIRMATIONS_QUEUE, DEAD_LETTERS_QUEUE, REPLAYS_QUEUE
from shared.ledger.database import connected
from shared.ledger.standing import backlog
from tests.given import envelope, new_order, payment
from tests.integration.workers.bench import Bench, until
from workers.overview.metrics import OverviewMetrics
from workers.overview.role import overview


async def test_what_waits_in_books_and_queues_is_exported_and_followed(bench: Bench) -> None:
    registry = CollectorRegistry()
    await bench.books.register(new_order())
    await bench.send(b"no envelope", envelope(payment()), envelope(payment("evt-2", "order-nobody-has")))

    async def shows(name: str, wanted: float, **labels: str) -> None:
        async def so() -> bool:
            return registry.get_sample_value(name, labels) == wanted

        await until(so)

    async with bench.running(*overview(bench.pool, bench.amqp_url, OverviewMetrics(registry), period=0.05)):
        await shows("kessai_queue_messages", 3, queue=CONFIRMATIONS_QUEUE)
        await shows("kessai_queue_consumers", 0, queue=CONFIRMATIONS_QUEUE)
        await shows("kessai_open_dead_letters", 0)
        async with bench.running(bench.confirmations(), bench.dead_letters()):
            await shows("kessai_queue_consumers", 2, queue=CONFIRMATIONS_QUEUE)
            await shows("kessai_queue_consumers", 1, queue=REPLAYS_QUEUE)
            await shows("kessai_queue_consumers", 1, queue=DEAD_LETTERS_QUEUE)
            await shows("kessai_queue_messages", 0, queue=CONFIRMATIONS_QUEUE)
            await shows("kessai_open_dead_letters", 1)
            await shows("kessai_open_reviews", 1, queue="unknown")
    oldest = registry.get_sample_value("kessai_oldest_review_seconds", {"queue": "unknown"})
    applied = registry.get_sample_value("kessai_newest_applied_timestamp_seconds")
    assert oldest is not None
    assert applied is not None
    assert 0 <= oldest < 60
    assert abs(applied - time.time()) < 60


async def test_reading_the_books_takes_some_milliseconds_of_postgres(bench: Bench) -> None:
    await bench.pool.execute(
        """
        INSERT INTO kessai.dead_letter_tallies (state, group_id, letters)
        SELECT 'open', 'group-' || n, 100 FROM generate_series(1, 1000) AS n
        """
    )
    seconds = []
    async with connected(bench.pool) as connection:
        for _ in range(20):
            began = time.perf_counter()
            assert (await backlog(connection)).open_letters == 100_000
            seconds.append(time.perf_counter() - began)
    assert sorted(seconds)[10] < 0.05  # some 3 ms; the limit leaves room for a busy machine
