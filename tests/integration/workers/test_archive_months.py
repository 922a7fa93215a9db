"""The months of the raw archive are made ready in time, and late ones do not take a worker down."""

import asyncio

from shared.ledger.database import connected
from tests.given import incoming, payment
from tests.integration.workers.bench import Bench, until
from workers.archive_months import archive_months, ensure_months

PARTITIONS = """
SELECT relname, (SELECT count(*) FROM kessai.webhook_archive AS kept WHERE kept.tableoid = pg_class.oid) AS rows
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'kessai.webhook_archive'::regclass
ORDER BY relname
"""


async def partitions(bench: Bench) -> dict[str, int]:
    return {row["relname"]: row["rows"] for row in await bench.books.rows(PARTITIONS)}


async def drop_months(bench: Bench) -> list[str]:
    """As when no worker has run since before this month began."""
    months = [name for name in await partitions(bench) if not name.endswith("default")]
    for name in months:
        await bench.pool.execute(f"DROP TABLE kessai.{name}")
    return months


async def ensure(bench: Bench) -> None:
    async with connected(bench.pool) as connection:
        await ensure_months(connection)


async def test_this_month_and_the_next_are_made_ready(bench: Bench) -> None:
    months = await drop_months(bench)
    await ensure(bench)
    assert await partitions(bench) == dict.fromkeys([*months, "webhook_archive_default"], 0)
    await ensure(bench)
    assert len(await partitions(bench)) == 3


async def test_what_came_before_its_month_was_ready_is_fetched_from_the_catch_all(bench: Bench) -> None:
    now = await bench.books.value("SELECT now()")
    await drop_months(bench)
    await bench.books.apply(
        incoming(payment("evt-1"), received_at=now), incoming(payment("evt-2"), received_at=now.replace(year=2020))
    )
    assert (await partitions(bench)) == {"webhook_archive_default": 2}
    await ensure(bench)
    counted = await partitions(bench)
    assert counted.pop("webhook_archive_default") == 1
    assert sorted(counted.values()) == [0, 1]
    before = await bench.books.everything()
    await bench.books.apply(incoming(payment("evt-3"), received_at=now))
    assert sorted((await partitions(bench)).values()) == [0, 1, 2]
    assert set(before["webhook_archive"]) < set((await bench.books.everything())["webhook_archive"])


async def test_workers_that_make_a_month_at_once_make_it_once_while_events_come(bench: Bench) -> None:
    now = await bench.books.value("SELECT now()")
    await drop_months(bench)
    await asyncio.gather(
        *(ensure(bench) for _ in range(4)),
        *(bench.books.apply(incoming(payment(f"evt-{n}"), received_at=now)) for n in range(20)),
    )
    counted = await partitions(bench)
    assert counted["webhook_archive_default"] == 0
    assert sum(counted.values()) == 20


async def test_a_month_that_cannot_be_made_now_leaves_the_worker_at_work(bench: Bench) -> None:
    await bench.pool.execute(
        """
        CREATE OR REPLACE FUNCTION kessai.ensure_archive_month(month date) RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN PERFORM nextval('tries'); RAISE EXCEPTION 'not now' USING ERRCODE = '23514'; END $$;
        CREATE SEQUENCE tries;
        """
    )
    months = archive_months(bench.retrying_database())
    async with bench.running(months):
        await until(lambda: _tried(bench))
        await asyncio.sleep(0.1)


async def _tried(bench: Bench) -> bool:
    return bool(await bench.books.value("SELECT is_called FROM tries"))
