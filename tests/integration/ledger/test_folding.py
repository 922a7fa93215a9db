"""Tallies say what the rows say, before they are folded and after, whoever writes meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta

from shared.broker.envelope import Failure
from shared.ledger import dead_letter_search, dead_letters, discards, folding, tallies
from shared.ledger.database import connected
from shared.ledger.discards import Selection
from tests.given import envelope, payment
from tests.integration.ledger.books import TestBooks

NOW = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)
FAULT, REFUSED = Failure("handler_error", "KeyError"), Failure("unacceptable_row", "CheckViolationError")

COUNTED = """
SELECT state, group_id, count(*) AS letters FROM kessai.dead_letters GROUP BY state, group_id ORDER BY state, group_id
"""
TALLIED = """
SELECT state, group_id, sum(letters)::bigint AS letters
FROM kessai.dead_letter_tallies
GROUP BY state, group_id
HAVING sum(letters) <> 0
ORDER BY state, group_id
"""
DELIVERIES = """
INSERT INTO kessai.tallies (at, endpoint, kind, outcome, key_fingerprint, deliveries, longest_wait)
VALUES ($1, 'siglume', 'standard_settled', $2, 'key', $3, $4)
"""


async def fold(books: TestBooks, now: datetime = NOW) -> int:
    async with connected(books.pool) as connection:
        return await folding.fold_alone(connection, now=now)


async def bury(books: TestBooks, numbers: range, failure: Failure = FAULT) -> None:
    async with connected(books.pool) as connection:
        await dead_letters.archive(connection, [(envelope(payment(f"evt-{n}")), failure) for n in numbers])


async def assert_tallied(books: TestBooks) -> None:
    assert await books.rows(TALLIED) == await books.rows(COUNTED)


async def test_whatever_befalls_dead_letters_their_groups_are_counted(books: TestBooks) -> None:
    await bury(books, range(5))
    await bury(books, range(5, 8), REFUSED)
    await assert_tallied(books)
    await fold(books)
    async with connected(books.pool) as connection:
        await discards.discard(connection, Selection(ids=[1, 2, 6]), why="a test", actor="cli:ann")
        await assert_tallied(books)
        await discards.reopen(connection, Selection(ids=[2]), why="a test", actor="cli:ann")
    same = envelope(payment("evt-same"))
    async with connected(books.pool) as connection:
        await dead_letters.archive(connection, [(same, FAULT)])
        await dead_letters.archive(connection, [(same, REFUSED)])  # it fails again, and otherwise: another group
    await books.rows("DELETE FROM kessai.dead_letters WHERE dead_letter_id = 4")
    await books.rows("UPDATE kessai.dead_letters SET last_seen = now()")
    await assert_tallied(books)
    async with connected(books.pool) as connection:
        before = await dead_letter_search.groups(connection)
        assert await fold(books) > 0
        assert await dead_letter_search.groups(connection) == before
    assert await fold(books) == 0
    await assert_tallied(books)


async def test_a_change_that_is_rolled_back_is_not_counted(books: TestBooks) -> None:
    await bury(books, range(2))
    async with connected(books.pool) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await dead_letters.archive(connection, [(envelope(payment("evt-9")), FAULT)])
        await transaction.rollback()
    await assert_tallied(books)


async def test_folding_beside_writers_loses_and_doubles_nothing(books: TestBooks) -> None:
    async def write(first: int) -> None:
        for number in range(first, first + 30, 3):
            await bury(books, range(number, number + 3))
            await books.pool.execute(DELIVERIES, NOW - timedelta(minutes=10), "applied", 1, 0.1)

    async def keep_folding() -> None:
        for _ in range(20):
            await fold(books)

    await asyncio.gather(write(0), write(100), write(200), keep_folding(), keep_folding())
    await assert_tallied(books)
    await fold(books)
    await assert_tallied(books)
    assert [row["letters"] for row in await books.rows("SELECT letters FROM kessai.dead_letter_tallies")] == [90]
    applied = await books.rows("SELECT deliveries FROM kessai.tallies WHERE outcome = 'applied'")
    assert [row["deliveries"] for row in applied] == [30]


async def test_minutes_that_are_over_become_one_row_an_outcome_and_say_the_same(books: TestBooks) -> None:
    for second in range(0, 600, 7):
        outcome = "applied" if second % 2 else "review"
        await books.pool.execute(DELIVERIES, NOW - timedelta(seconds=second), outcome, second, second / 1000)
    async with connected(books.pool) as connection:
        before = await tallies.by_minute(connection, since=NOW - timedelta(hours=1))
        assert await fold(books) > 0
        assert await tallies.by_minute(connection, since=NOW - timedelta(hours=1)) == before
        await books.pool.execute(DELIVERIES, NOW - timedelta(minutes=8), "applied", 1000, 9.5)  # a late commit
        await fold(books)
        after = await tallies.by_minute(connection, since=NOW - timedelta(hours=1))
    assert sum(minute.deliveries for minute in after) == sum(minute.deliveries for minute in before) + 1000
    assert max(minute.longest_wait for minute in after) == 9.5
    kept = await books.rows("SELECT at, outcome FROM kessai.tallies WHERE is_folded")
    assert len(kept) == len(set(kept)) == len([each for each in after if each.at < NOW - timedelta(minutes=5)])
