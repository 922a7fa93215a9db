"""The desk itself: who holds which review, what is noted, what is found, and all of it on record."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.ledger import audit, notes
from shared.ledger.audit import ActFilter
from shared.ledger.database import connected
from shared.ledger.notes import InvalidNote, NoteThing, NothingToNote
from shared.ledger.reviews import ReviewChanged, ReviewNotFound, ReviewTaken
from tests.given import ENDPOINT, challenge_hash, incoming, new_order, payment, usage
from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.desk import ANN, BOB, Desk


@pytest.fixture
def desk(books: TestBooks) -> Desk:
    return Desk(books)


async def test_a_review_is_held_by_one_person_at_a_time(books: TestBooks, desk: Desk) -> None:
    await books.apply(payment())
    taken = await desk.claim(1)
    assert (taken.assignee, taken.version) == (ANN, 2)
    assert (await desk.claim(1)).version == 2  # hers already
    for refused in (desk.claim(1, actor=BOB), desk.release(1, actor=BOB)):
        with pytest.raises(ReviewTaken, match="review 1 is assigned to cli:ann"):
            await refused
    assert (await desk.claim(1, actor=BOB, take_over=True)).assignee == BOB
    assert (await desk.last_act()) == (BOB, "review.claimed", "review:1", {"taken_from": ANN})
    with pytest.raises(ReviewChanged, match="claimed by cli:bob"):
        await desk.release(1, version=2)
    assert (await desk.release(1, actor=BOB)).assignee is None
    assert (await desk.release(1)).version == 4  # nobody's already
    assert await books.acts() == [
        (ANN, "review.claimed", "review:1"),
        (BOB, "review.claimed", "review:1"),
        (BOB, "review.released", "review:1"),
    ]
    with pytest.raises(ReviewNotFound):
        await desk.claim(2)


async def test_a_closed_review_is_nobodys_to_take(books: TestBooks, desk: Desk) -> None:
    await books.apply(payment())
    await books.register(new_order())
    for refused in (desk.claim(1), desk.release(1), desk.withdraw(1)):
        with pytest.raises(ReviewChanged, match="closed by test with order_registered at"):
            await refused


async def test_reviews_are_found_by_what_they_are_about(books: TestBooks, desk: Desk) -> None:
    began = datetime.now(UTC)
    await books.register(new_order("order-1"), new_order("order-2", 300))
    await books.apply(
        payment("evt-1", "order-9"),
        payment("evt-2", amount_minor=1),
        incoming(payment("evt-3", "order-8"), endpoint="kiosk"),
        usage("evt-4", "order-9"),
    )
    await desk.claim(2)
    await desk.resolve(4, "reject")
    assert await desk.listed() == [4, 3, 2, 1]
    assert await desk.listed(limit=2) == [4, 3]
    assert await desk.listed(limit=2, before=3) == [2, 1]
    assert await desk.listed(state="open", queue="unknown") == [3, 1]
    assert await desk.listed(reason="amount_mismatch") == [2] == await desk.listed(order_id="order-1")
    assert await desk.listed(assignee=ANN) == [2]
    assert await desk.listed(endpoint="kiosk") == [3]
    assert await desk.listed(challenge_hash=challenge_hash("order-9")) == [4, 1]
    assert await desk.listed(since=began - timedelta(minutes=1), until=began + timedelta(minutes=10)) == [4, 3, 2, 1]
    assert await desk.listed(until=began - timedelta(minutes=1)) == []


async def test_notes_are_kept_with_what_they_are_about(books: TestBooks) -> None:
    await books.register(new_order())
    await books.apply(payment("evt-1", "order-9"))
    async with connected(books.pool) as connection:
        await notes.add(connection, NoteThing.REVIEW, "1", "rang the buyer\nno answer", author=ANN)
        await notes.add(connection, NoteThing.REVIEW, "1", "決済 found", author=BOB)
        await notes.add(connection, NoteThing.ORDER, "order-1", "fragile", author=ANN)
        of_review = await notes.of(connection, NoteThing.REVIEW, "1")
        assert [(note.author, note.body) for note in of_review] == [
            (ANN, "rang the buyer\nno answer"),
            (BOB, "決済 found"),
        ]
        assert [note.body for note in await notes.of(connection, NoteThing.ORDER, "order-1")] == ["fragile"]
    assert await books.acts() == [
        ("test", "order.registered", "order-1"),
        (ANN, "note.added", "review:1"),
        (BOB, "note.added", "review:1"),
        (ANN, "note.added", "order-1"),
    ]


async def test_a_note_on_nothing_is_refused(books: TestBooks) -> None:
    async with connected(books.pool) as connection:
        for thing in NoteThing:
            for thing_id in ("", "99", "001", "-1", "٣", "9" * 30, "a\0b", "\ud800"):
                with pytest.raises(NothingToNote):
                    await notes.add(connection, thing, thing_id, "hello", author=ANN)
    assert not await books.rows("SELECT FROM kessai.notes")


async def test_a_note_without_proper_text_is_refused(books: TestBooks) -> None:
    await books.register(new_order())
    async with connected(books.pool) as connection:
        for body in ("", " \n", "a\0b", "\ud800", "x" * 4001):
            with pytest.raises(InvalidNote):
                await notes.add(connection, NoteThing.ORDER, "order-1", body, author=ANN)
        await notes.add(connection, NoteThing.ORDER, "order-1", "x" * 4000, author=ANN)


async def test_what_people_did_is_listed_newest_first(books: TestBooks) -> None:
    """Registrations and moves of orders are on record as well, but are nothing that people scroll through."""
    await books.register(new_order())
    await books.apply(payment())
    async with connected(books.pool) as connection:
        for number in range(5):
            await audit.record(
                connection,
                actor=BOB if number == 2 else ANN,
                action="replay.started" if number % 2 else "review.claimed",
                subject=f"thing:{number}",
                endpoint=ENDPOINT,
                detail={"number": number},
            )

        async def listed(before: int | None = None, **wanted: str) -> list[str]:
            acts = await audit.newest(connection, ActFilter(**wanted), limit=2, before=before)  # type: ignore[arg-type]
            return [act.subject for act in acts]

        first = await audit.newest(connection, limit=2)
        assert [act.subject for act in first] == ["thing:4", "thing:3"]
        assert first[0].detail == {"number": 4}
        assert await listed(before=first[-1].audit_id) == ["thing:2", "thing:1"]
        assert await listed(actor=BOB) == ["thing:2"]
        assert await listed(action="replay.started") == ["thing:3", "thing:1"]
        assert await listed(subject="thing:0") == ["thing:0"]
        assert await listed(subject="order-1") == []
