"""The overview tells how things stand, and costs the books little however much they hold."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from ingress.console.delivery_history import DeliveryHistory, Range
from shared.ledger import dead_letter_search, standing
from shared.ledger.database import Pool
from shared.ledger.revenue import exposed
from tests.integration.console.conftest import OpenBrowser
from tests.integration.console.furnished import furnish

NOW = datetime(2026, 11, 20, 12, 30, 30, tzinfo=UTC)


async def tally(pool: Pool, at: datetime, outcome: str, deliveries: int, wait: float = 0.1) -> None:
    await pool.execute(
        """
        INSERT INTO kessai.tallies (at, endpoint, kind, outcome, key_fingerprint, deliveries, longest_wait)
        VALUES ($1, 'siglume', 'standard_settled', $2, 'key', $3, $4)
        """,
        at,
        outcome,
        deliveries,
        wait,
    )


async def test_what_is_open_is_counted_and_said_in_words(pool: Pool, open_browser: OpenBrowser) -> None:
    await furnish(pool, letters=12)
    words = (await (await open_browser("vera")).get("/")).words
    assert "Open dead letters 12 " in words
    assert "8 OrderLockTimeout transient: OrderLockTimeout standard settled siglume" in words
    assert "mismatch 6 30 h" in words
    assert "12 dead letters are open; 8 are of one group" in words
    assert "A review of the queue mismatch has waited for 30 h." in words
    assert "Replay 2 is paused with 30 events left." in words
    assert "300 of 812" in words


async def test_buyers_near_their_threshold_are_said_and_shown_where_the_link_leads(
    pool: Pool, open_browser: OpenBrowser
) -> None:
    await pool.execute(
        "INSERT INTO kessai.statement_exposures VALUES ('siglume', 3, 1, now()), ('calm', 0, 0, '-infinity')"
    )
    vera = await open_browser("vera")
    page = await vera.get("/")
    assert "payments of 1 buyer; 3 buyers are near that" in page.words
    assert 'href="/revenue#exposure"' in page.text
    assert 'id="exposure"' in (await vera.get("/revenue")).text


@pytest.mark.parametrize("range_", list(Range))
async def test_steps_cover_the_range_and_nothing_before_it(pool: Pool, range_: Range) -> None:
    await tally(pool, NOW - range_.length - range_.step, "applied", 1000)
    await tally(pool, NOW - range_.length + 2 * range_.step, "applied", 3)
    await tally(pool, NOW, "review", 2, wait=7.5)
    steps = await DeliveryHistory(pool).steps(range_, now=NOW)
    assert len(steps) == range_.length / range_.step
    assert sum(step.total for step in steps) == 5
    assert (steps[-1].deliveries, steps[-1].longest_wait) == ({"review": 2}, 7.5)
    assert all(after.at - before.at == range_.step for before, after in pairwise(steps))


async def test_remembered_minutes_agree_with_the_books_while_time_goes_on(pool: Pool) -> None:
    pulse, now = DeliveryHistory(pool), NOW
    for number in range(12):
        await tally(pool, now - timedelta(seconds=5), "applied", number + 1)
        await tally(pool, now - timedelta(minutes=2), "duplicate", 1)  # a commit that took long
        for range_ in (Range.HOUR, Range.WEEK, Range.DAY)[: 1 + number % 3]:
            assert await pulse.steps(range_, now=now) == await DeliveryHistory(pool).steps(range_, now=now)
        now += timedelta(seconds=17) if number < 9 else timedelta(hours=5)


async def test_charts_that_wait_for_the_books_leave_connections_to_the_other_pages(
    pool: Pool, open_browser: OpenBrowser
) -> None:
    vera, otto = await open_browser("vera"), await open_browser("otto")
    async with pool.acquire() as blocking, blocking.transaction():
        await blocking.execute("LOCK TABLE kessai.tallies")
        waiting = [asyncio.create_task(vera.get("/")) for _ in range(pool.get_max_size() + 2)]
        while not await blocking.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        async with asyncio.timeout(1.0):  # below the 2 s after which a wait for a lock ends
            assert (await otto.get("/orders")).status == 200
    assert {(await each).status for each in waiting} == {200}


async def test_a_refresh_reads_few_pages_of_large_books(pool: Pool) -> None:
    await pool.execute(
        """
        INSERT INTO kessai.webhook_events (endpoint, event_id, receipt_id, received_at, body_digest, type, kind,
                                           outcome)
        SELECT 'siglume', 'evt-' || number, gen_random_uuid(), now() - number * interval '1 second', '\\x00', 'type',
               'standard_settled', 'applied'
        FROM generate_series(1, 30000) AS number
        """
    )
    await pool.execute(
        """
        INSERT INTO kessai.dead_letters (receipt_id, reason, error, detail, endpoint, attempts, received_at, raw,
                                         signature, key_fingerprint)
        SELECT gen_random_uuid(), 'reason', 'Error' || number % 7, repeat('x', 500), 'siglume', 1, now(), '\\x00', '',
               ''
        FROM generate_series(1, 4000) AS number
        """
    )
    await pool.execute("VACUUM ANALYZE kessai.webhook_events, kessai.dead_letters")
    await pool.execute("INSERT INTO kessai.statement_exposures VALUES ('siglume', 3, 1, now())")
    read = [await pages(pool, query) for query in (standing.NEWEST, standing.REVIEWS, exposed.LAST)]
    read.append(await pages(pool, dead_letter_search.GROUPS, ["open"], 5))
    assert sum(read) < 200, read


async def pages(pool: Pool, query: str, *arguments: object) -> int:
    """Pages of 8 KiB that Postgres reads for a query."""
    plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {query}", *arguments))
    found = re.search(r"shared hit=(\d+)(?: read=(\d+))?", plan)
    assert found is not None, plan
    return int(found[1]) + int(found[2] or 0)
