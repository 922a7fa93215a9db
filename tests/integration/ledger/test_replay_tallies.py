"""What a job's events came to is counted as they do: a look costs nothing, and the count is the truth."""

import asyncio
from collections.abc import Iterable

import asyncpg
import pytest

from shared.ledger.books import Outcome
from shared.ledger.database import Pool, connected
from shared.ledger.replays import items, jobs
from shared.ledger.replays.items import ItemResult, predict_items, settle_items
from shared.ledger.replays.turn import take_turn
from tests.integration.ledger.books import TestBooks

ITEMS = 300


@pytest.fixture
async def job(books: TestBooks) -> int:
    """One that runs, of 300 events."""
    replay_id: int = await books.value(
        """
        INSERT INTO kessai.replays (source, filter, planned_by, total, state)
        VALUES ('archive', '{}', 'test', $1, 'running')
        RETURNING replay_id
        """,
        ITEMS,
    )
    await books.rows(
        """
        INSERT INTO kessai.replay_items (replay_id, item, endpoint, event_id, receipt_id, received_at)
        SELECT $1, n, 'siglume', 'evt-' || n, gen_random_uuid(), now() FROM generate_series(1, $2::int) AS n
        """,
        replay_id,
        ITEMS,
    )
    return replay_id


def results(job: int, numbers: Iterable[int]) -> list[ItemResult]:
    outcomes = list(Outcome)
    return [ItemResult(job, item, outcomes[item % len(outcomes)]) for item in numbers]


async def shown(pool: Pool, job: int) -> dict[str, int]:
    async with connected(pool) as connection:
        return (await jobs.find(connection, job)).results


async def counted(books: TestBooks) -> dict[str, int]:
    rows = await books.rows(
        "SELECT outcome, count(*) AS events FROM kessai.replay_items WHERE outcome IS NOT NULL GROUP BY outcome"
    )
    return {row["outcome"]: row["events"] for row in rows}


async def test_many_workers_that_repeat_and_fail_leave_an_exact_count(books: TestBooks, job: int) -> None:
    """Every item is reported by three workers, in batches that overlap; each third try of one does not commit."""

    async def worker(number: int) -> None:
        for first in range(1, ITEMS + 1, 10):
            async with connected(books.pool) as connection:
                transaction = connection.transaction()
                await transaction.start()
                await settle_items(connection, results(job, range(first, min(first + 15, ITEMS + 1))))
                await (transaction.rollback() if (first // 10 + number) % 3 == 0 else transaction.commit())

    await asyncio.gather(*(worker(number) for number in range(3)))
    assert await shown(books.pool, job) == await counted(books)
    assert sum((await counted(books)).values()) == ITEMS


async def test_what_was_cut_off_before_its_commit_is_not_counted(books: TestBooks, database_url: str, job: int) -> None:
    killed = await asyncpg.connect(database_url)
    async with connected(books.pool) as connection:
        await settle_items(connection, results(job, range(1, 11)))
        await killed.execute("BEGIN")
        await settle_items(killed, results(job, range(11, 50)))
        await connection.execute("SELECT pg_terminate_backend($1, 5000)", killed.get_server_pid())
        await settle_items(connection, results(job, range(1, 21)))
    killed.terminate()
    assert await shown(books.pool, job) == await counted(books)
    assert sum((await counted(books)).values()) == 20


async def test_a_look_reads_no_items(books: TestBooks, job: int) -> None:
    """They are too many to be counted for a page that is looked at every second: here they are out of reach."""
    async with connected(books.pool) as keeping, connected(books.pool) as looking:
        await settle_items(looking, results(job, range(1, ITEMS + 1)))
        await looking.execute("SET lock_timeout = '500ms'")
        async with keeping.transaction():
            await keeping.execute("LOCK TABLE kessai.replay_items IN ACCESS EXCLUSIVE MODE")
            assert (await jobs.find(looking, job)).done == ITEMS
            assert [each.done for each in await jobs.newest(looking, limit=20)] == [ITEMS]
            await items.count_predicted(looking, job)


async def test_a_job_is_counted_while_a_worker_hands_it_over(books: TestBooks, job: int) -> None:
    """A turn lasts as long as RabbitMQ takes; the first results of a session must not wait for it."""
    async with connected(books.pool) as turning, connected(books.pool) as counting, turning.transaction():
        assert await take_turn(turning) is not None
        await counting.execute("SET lock_timeout = '500ms'")
        await settle_items(counting, results(job, [1]))
    assert sum((await shown(books.pool, job)).values()) == 1


async def test_a_plan_says_how_far_it_has_come(books: TestBooks, job: int) -> None:
    async with connected(books.pool) as connection:
        await predict_items(connection, job, results(job, range(1, 101)))
        await predict_items(connection, job, results(job, range(101, 151)))
        assert await items.count_predicted(connection, job) == 150
