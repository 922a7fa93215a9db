"""Other bytes under a known event id: a person may count them where the first ones had no effect, and never both."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from shared.broker.envelope import Failure, ReplayMark
from shared.ledger import dead_letters
from shared.ledger.database import connected
from shared.ledger.decisions import Refusal, Resolution, Unchanged, Verdict
from shared.ledger.incoming import Incoming, read
from shared.ledger.resolve import CannotResolve, Resolved
from tests.given import ABSENT, envelope, new_order, payment, settlement
from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.desk import Desk
from tests.integration.ledger.test_races import soon
from tests.integration.ledger.test_rejected_payments import foreseen

WITH_EFFECTS = ("orders", "reviews", "metered_usage", "settlement_batches", "outbox", "audit")
LOST = "sha256:lost"


@pytest.fixture
def desk(books: TestBooks) -> Desk:
    return Desk(books)


def incomplete(event_id: str = "evt-1", order_id: str = "order-1", **data: Any) -> bytes:  # noqa: ANN401 - fields of an event
    """A confirmation that lacks a field: nobody can count it."""
    return payment(event_id, order_id, settlement_status=ABSENT, **data)


async def begin(books: TestBooks, desk: Desk, first: str) -> None:
    """An event id whose first bytes have no effect, for one of the reasons there are."""
    await books.register(new_order())
    match first:
        case "review":
            await books.apply(incomplete())
        case "rejected":
            await books.apply(incomplete())
            await desk.resolve(1, "reject")
        case "ignored":
            await books.apply(payment(readiness_probe=True))
        case "dead_letter":
            async with connected(books.pool) as connection:
                letter = (envelope(incomplete()), Failure("handler_error", "KeyError", ""))
                await dead_letters.archive(connection, [letter])


def replayed(raw: bytes, *, rule_again: bool) -> Incoming:
    """An item of a replay, of which nobody waits for the result."""
    return read(envelope(raw)._replace(replay=ReplayMark(1, 1, rule_again)))


async def conflict_of(books: TestBooks, event_id: str = "evt-1") -> int:
    review_id: int = await books.value(
        "SELECT review_id FROM kessai.reviews WHERE event_id = $1 AND reason = 'event_id_conflict'", event_id
    )
    return review_id


@pytest.mark.parametrize("first", ["review", "rejected", "ignored", "dead_letter"])
async def test_a_confirmation_counts_when_the_first_bytes_of_its_event_had_no_effect(
    books: TestBooks, desk: Desk, first: str
) -> None:
    await begin(books, desk, first)
    await books.apply(payment())
    conflict = await conflict_of(books)
    assert isinstance((await foreseen(books, conflict))[Resolution.REPROCESS], Verdict)
    done = await desk.resolve(conflict, "reprocess")
    assert (done.done, done.outcome, done.order_state) == ("closed", "applied", "paid")
    assert await books.outcome("evt-1") == ("applied", "event_id_conflict", "order-1")
    assert await books.moves() == [("order-1", "pending", "paid")]
    before = await books.everything(*WITH_EFFECTS)
    both = [payment(), payment(readiness_probe=True) if first == "ignored" else incomplete()]
    await books.apply(*both)
    await books.apply(*(replayed(raw, rule_again=False) for raw in both))
    await books.apply(*(replayed(raw, rule_again=True) for raw in both))
    assert await books.everything(*WITH_EFFECTS) == before


async def test_what_the_first_bytes_wait_in_can_then_only_be_rejected(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order("order-1"), new_order("order-2"))
    await books.apply(payment(challenge_hash=LOST, requirement_id="req-lost"))
    await books.apply(payment())
    await desk.resolve(await conflict_of(books), "reprocess")
    for resolution, order_id in (("link-order", "order-2"), ("reprocess", None)):
        with pytest.raises(CannotResolve, match="an event counts once: choose reject"):
            await desk.resolve(1, resolution, order_id)
    await books.register(new_order("order-3", challenge=LOST))
    await books.apply(replayed(payment(challenge_hash=LOST, requirement_id="req-lost"), rule_again=True))
    assert await books.moves() == [("order-1", "pending", "paid")]
    assert (await desk.resolve(1, "reject")).done == "closed"
    assert await books.outcome("evt-1") == ("applied", "event_id_conflict", "order-1")


@pytest.mark.parametrize("first", ["applied", "duplicate"])
async def test_where_the_first_bytes_are_in_the_books_a_conflict_can_only_be_rejected(
    books: TestBooks, desk: Desk, first: str
) -> None:
    await books.register(new_order("order-1"), new_order("order-2"))
    await books.apply(*([payment("evt-0")] if first == "duplicate" else []), payment())
    await books.apply(payment("evt-1", "order-2"))
    conflict = await conflict_of(books)
    assert isinstance((await foreseen(books, conflict))[Resolution.REPROCESS], Unchanged)
    before = await books.everything()
    assert (await desk.resolve(conflict, "reprocess")).done == "unchanged"
    with pytest.raises(CannotResolve, match="choose reject"):
        await desk.resolve(conflict, "accept-mismatch")
    assert await books.everything() == before


async def test_bytes_that_do_not_fit_become_the_review_that_they_are(books: TestBooks, desk: Desk) -> None:
    await begin(books, desk, "review")
    await books.apply(payment(amount_minor=1300))
    done = await desk.resolve(await conflict_of(books), "reprocess")
    assert (done.outcome, done.reason) == ("review", "amount_mismatch")
    assert await books.outcome("evt-1") == ("review", "missing_standard_settlement_fields", None)
    before = await books.everything(*WITH_EFFECTS)
    await books.apply(payment(amount_minor=1300), incomplete())
    assert await books.everything(*WITH_EFFECTS) == before
    assert (await desk.resolve(3, "accept-mismatch")).order_state == "paid"
    assert await books.outcome("evt-1") == ("applied", "event_id_conflict", "order-1")
    assert isinstance((await foreseen(books, 1))[Resolution.REPROCESS], Refusal)


async def test_a_settled_batch_counts_as_well(books: TestBooks, desk: Desk) -> None:
    await books.apply(settlement(usage_event_digest=None))
    await books.apply(settlement())
    assert (await desk.resolve(await conflict_of(books), "reprocess")).outcome == "applied"
    assert await books.value("SELECT chain_receipt_id FROM kessai.settlement_batches") == "chain-batch-1"


async def test_of_two_orders_that_wait_for_one_event_one_is_paid(books: TestBooks, desk: Desk) -> None:
    """However they are registered: in one call, or at once."""
    pairs = [(f"order-{n}-a", f"order-{n}-b") for n in range(12)]
    for n, (one, other) in enumerate(pairs):
        await books.apply(payment(f"evt-{n}", one))
        await books.apply(payment(f"evt-{n}", other))
        done = await desk.resolve(await conflict_of(books, f"evt-{n}"), "reprocess")
        assert done.reason == "unknown_challenge_hash"
    await books.register(*map(new_order, pairs[0]))
    await asyncio.gather(
        *(soon(lambda name=name: books.register(new_order(name))) for pair in pairs[1:] for name in pair)  # type: ignore[misc]
    )
    paid = Counter(order_id.rpartition("-")[0] for order_id, _, _ in await books.moves())
    assert paid == {f"order-{n}": 1 for n in range(12)}


async def test_of_two_decisions_on_one_event_that_meet_one_counts(books: TestBooks, desk: Desk) -> None:
    names = [f"order-{n}" for n in range(12)]
    await books.register(*map(new_order, names), *(new_order(f"{name}-too") for name in names))
    for n, name in enumerate(names):
        await books.apply(payment(f"evt-{n}", name, challenge_hash=f"lost-{n}"))
        await books.apply(payment(f"evt-{n}", f"{name}-too"))
    lost = {row["event_id"]: row["review_id"] for row in await books.rows(OPEN_LOST)}
    results = await asyncio.gather(
        *(
            soon(lambda n=n: desk.resolve(lost[f"evt-{n}"], "link-order", f"order-{n}"))  # type: ignore[misc]
            for n in range(12)
        ),
        *(soon(lambda n=n: reprocess(books, desk, f"evt-{n}")) for n in range(12)),  # type: ignore[misc]
        return_exceptions=True,
    )
    counted = [each for each in results if isinstance(each, Resolved) and each.outcome == "applied"]
    assert {type(each) for each in results} <= {Resolved, CannotResolve}
    assert (len(counted), len(await books.moves())) == (12, 12)
    outcomes = await books.rows("SELECT outcome FROM kessai.webhook_events")
    assert {row["outcome"] for row in outcomes} == {"applied"}


OPEN_LOST = "SELECT event_id, review_id FROM kessai.reviews WHERE reason = 'unknown_challenge_hash'"


async def reprocess(books: TestBooks, desk: Desk, event_id: str) -> Resolved:
    return await desk.resolve(await conflict_of(books, event_id), "reprocess")
