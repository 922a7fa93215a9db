"""Nothing is forgotten that could still be replayed."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.broker.envelope import Failure
from shared.ledger import dead_letter_search, dead_letters, discards
from shared.ledger.database import connected
from shared.ledger.dead_letter_search import BytesDeleted
from shared.ledger.discards import CannotReopen, Selection
from shared.ledger.retention import Keep, Pruned, prune
from tests.given import envelope, incoming, new_order, payment
from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.desk import Desk

OLD = datetime(2025, 1, 15, tzinfo=UTC)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
KEEP = Keep(raw=timedelta(days=30), claims=timedelta(days=60))


async def pruned(books: TestBooks, keep: Keep = KEEP, *, dry_run: bool = False) -> Pruned:
    async with connected(books.pool) as connection:
        return await prune(connection, keep, now=NOW, dry_run=dry_run)


async def received(books: TestBooks, event_id: str, when: datetime, order_id: str = "order-1") -> None:
    await books.pool.execute("SELECT kessai.ensure_archive_month($1::date)", when.date())
    await books.apply(incoming(payment(event_id, order_id), received_at=when))


async def claims(books: TestBooks) -> set[str]:
    return {row["event_id"] for row in await books.rows("SELECT event_id FROM kessai.webhook_events")}


async def test_old_months_and_their_claims_go_and_the_horizon_says_so(books: TestBooks) -> None:
    await books.register(new_order("order-1"), new_order("order-2"))
    await received(books, "evt-old", OLD)
    await received(books, "evt-new", NOW - timedelta(days=1), "order-2")
    foreseen = await pruned(books, dry_run=True)
    assert await claims(books) == {"evt-old", "evt-new"}

    done = await pruned(books)

    assert foreseen == done
    assert (done.months, done.claims) == (("webhook_archive_2025_01",), 1)
    assert await claims(books) == {"evt-new"}
    assert await books.value("SELECT claims_before FROM kessai.dedupe_horizon") == NOW - KEEP.claims


async def test_a_claim_stays_as_long_as_its_bytes(books: TestBooks) -> None:
    """Else the archive could be replayed into a second payment."""
    await books.register(new_order("order-1"))
    await received(books, "evt-old", OLD)
    done = await pruned(books, Keep(raw=timedelta(days=3000), claims=timedelta(days=1)))
    assert (done.months, done.claims) == ((), 0)
    assert done.claims_before <= OLD
    assert await claims(books) == {"evt-old"}


@pytest.mark.parametrize("holder", ["dead letter", "open review", "plan"])
async def test_what_could_still_be_replayed_keeps_its_claim_and_bytes(books: TestBooks, holder: str) -> None:
    await books.register(new_order("order-1"))
    await received(books, "evt-old", OLD, "order-9" if holder == "open review" else "order-1")
    if holder == "dead letter":
        letter = envelope(payment("evt-old"), received_at=OLD, failure=Failure("handler_error", "KeyError"))
        async with connected(books.pool) as connection:
            await dead_letters.archive(connection, [(letter, Failure("handler_error", "KeyError"))])
    if holder == "plan":
        await books.pool.execute(
            """
            WITH plan AS (
                INSERT INTO kessai.replays (source, filter, planned_by, state)
                VALUES ('archive', '{}', 'test', 'planned')
                RETURNING replay_id
            )
            INSERT INTO kessai.replay_items (replay_id, item, endpoint, event_id, receipt_id, received_at)
            SELECT replay_id, 1, endpoint, event_id, receipt_id, received_at
            FROM plan, kessai.webhook_events
            """
        )
    done = await pruned(books)
    assert done.claims == 0
    assert await claims(books) == {"evt-old"}
    if holder != "dead letter":  # a dead letter holds its bytes itself
        assert done.kept_months == ("webhook_archive_2025_01",)
        assert await books.value("SELECT count(*) FROM kessai.webhook_archive") == 1


async def failed(books: TestBooks, event_id: str, when: datetime) -> None:
    failure = Failure("handler_error", "KeyError")
    async with connected(books.pool) as connection:
        letter = envelope(payment(event_id), received_at=when, failure=failure)
        await dead_letters.archive(connection, [(letter, failure)])


async def with_bytes(books: TestBooks) -> set[str]:
    rows = await books.rows("SELECT event_id FROM kessai.dead_letters WHERE raw IS NOT NULL")
    return {row["event_id"] for row in rows}


async def test_old_dead_letters_that_are_closed_lose_their_bytes_and_keep_their_rows(books: TestBooks) -> None:
    for event_id in ("evt-discarded", "evt-resolved", "evt-open"):
        await failed(books, event_id, OLD)
    await failed(books, "evt-recent", NOW - timedelta(days=1))
    await books.register(new_order("order-1"))
    await received(books, "evt-resolved", OLD)
    async with connected(books.pool) as connection:
        await discards.discard(connection, Selection(ids=[1, 4]), actor="test", why="garbage")
    foreseen = await pruned(books, dry_run=True)
    assert len(await with_bytes(books)) == 4

    done = await pruned(books)

    assert (foreseen, done.dead_letters, done.claims) == (done, 2, 2)
    assert await with_bytes(books) == {"evt-open", "evt-recent"}
    assert await claims(books) == {"evt-open", "evt-recent"}
    rows = await books.rows("SELECT state, raw_deleted_at FROM kessai.dead_letters ORDER BY dead_letter_id")
    assert [(row["state"], row["raw_deleted_at"] is None) for row in rows] == [
        *(("discarded", False), ("resolved", False)),
        *(("open", True), ("discarded", True)),
    ]
    assert (await pruned(books)).dead_letters == 0


async def test_a_dead_letter_without_bytes_is_never_opened_again(books: TestBooks) -> None:
    """It could not be replayed, and its claim may be gone."""
    await failed(books, "evt-1", OLD)
    await failed(books, "evt-2", NOW)
    async with connected(books.pool) as connection:
        await discards.discard(connection, Selection(ids=[1, 2]), actor="test", why="garbage")
    await pruned(books)
    before = await books.everything("dead_letters", "audit")
    async with connected(books.pool) as connection:
        with pytest.raises(CannotReopen, match="dead letter 1 cannot be opened again: its bytes were deleted on 20"):
            await discards.reopen(connection, Selection(ids=[1, 2]), actor="test", why="they are needed")
        with pytest.raises(BytesDeleted):
            await dead_letter_search.find_with_bytes(connection, 1)
        assert await books.everything("dead_letters", "audit") == before
        assert await discards.reopen(connection, Selection(ids=[2]), actor="test", why="it is needed") == [2]


async def test_a_closed_dead_letter_keeps_its_bytes_while_a_review_of_its_event_is_open(books: TestBooks) -> None:
    await failed(books, "evt-1", OLD)
    await books.apply(incoming(payment("evt-1", "order-9"), received_at=OLD))
    async with connected(books.pool) as connection:
        await discards.discard(connection, Selection(ids=[1]), actor="test", why="garbage")
    assert (await pruned(books)).dead_letters == 0
    await Desk(books).resolve(1, "reject")
    assert (await pruned(books)).dead_letters == 1


async def test_a_fact_that_nobody_was_told_yet_is_never_forgotten(books: TestBooks) -> None:
    await books.register(new_order("order-1"), new_order("order-2"))
    await received(books, "evt-1", OLD)
    await received(books, "evt-2", OLD, "order-2")
    await books.pool.execute("UPDATE kessai.outbox SET created_at = $1", OLD)
    await books.pool.execute("UPDATE kessai.outbox SET published_at = $1 WHERE subject = 'order-1'", OLD)
    done = await pruned(books)
    assert done.facts == 1
    assert await books.told() == [("order.paid", "order-2")]


async def test_what_lies_in_no_month_goes_by_its_own_time(books: TestBooks) -> None:
    """As after a replay of an old dead letter: it must not hold the horizon back for ever."""
    await books.register(new_order("order-1"))
    await books.apply(incoming(payment("evt-old", "order-1"), received_at=OLD))
    await books.apply(incoming(payment("evt-open", "order-9"), received_at=OLD))
    assert await books.value("SELECT count(*) FROM kessai.webhook_archive_default") == 2
    await pruned(books)
    (kept,) = await books.rows("SELECT event_id FROM kessai.webhook_archive_default")
    assert kept["event_id"] == "evt-open", "an open review needs its bytes"


@pytest.mark.parametrize(("resolution", "state"), [("reject", "pending"), ("accept-mismatch", "paid")])
async def test_what_was_decided_stays_decided_when_its_claim_is_gone(
    books: TestBooks, resolution: str, state: str
) -> None:
    """The review is closed and opens once only: the event must not wait in it, where nobody would look."""
    await books.register(new_order("order-1"))
    raw = payment("evt-old", amount_minor=1)
    await books.pool.execute("SELECT kessai.ensure_archive_month($1::date)", OLD.date())
    await books.apply(incoming(raw, received_at=OLD))
    await Desk(books).resolve(1, resolution)
    told = await books.told()
    assert (await pruned(books)).claims == 1

    assert await outcomes(books, raw) == [("duplicate", "decided")]

    assert await books.outcome("evt-old") == ("duplicate", "decided", "order-1")
    assert await books.reviews() == [("evt-old", "amount_mismatch", "closed")]
    assert ((await books.order()).state, await books.told()) == (state, told)


async def test_conflicting_bytes_that_were_decided_on_are_told_as_such(books: TestBooks) -> None:
    await books.register(new_order("order-1"))
    await books.apply(payment())
    conflict = payment(amount_minor=1)
    assert await outcomes(books, conflict) == await outcomes(books, conflict) == [("review", "event_id_conflict")]
    await Desk(books).resolve(1, "reject")
    assert await outcomes(books, conflict) == [("duplicate", "decided")]


async def outcomes(books: TestBooks, raw: bytes) -> list[tuple[str, str]]:
    """Outcome and reason that one delivery is counted by."""
    return [(outcome, reason) for _, _, outcome, reason in (await books.apply(raw)).outcomes]
