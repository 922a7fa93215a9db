"""An order's story is told whole: who, what, when, from every table that knows of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.broker.envelope import Failure
from shared.ledger import dead_letters, notes
from shared.ledger.database import connected
from shared.ledger.notes import NoteThing
from shared.ledger.orders import OrderNotFound
from shared.ledger.timeline import Step, timeline
from tests.given import SECRET, envelope, incoming, new_order, payment
from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.desk import ANN, BOB, Desk


async def told(books: TestBooks, order_id: str = "order-1") -> list[Step]:
    async with connected(books.pool) as connection:
        return await timeline(connection, order_id)


def now_received(raw: bytes) -> Any:  # noqa: ANN401 - an Incoming
    return incoming(raw, received_at=datetime.now(UTC))


async def test_a_paid_order(books: TestBooks) -> None:
    await books.register(new_order())
    await books.register(new_order("order-2"))
    await books.apply(now_received(payment()), now_received(payment("evt-2", "order-2")))
    await books.apply(now_received(payment()))
    await books.rows("UPDATE kessai.outbox SET published_at = clock_timestamp()")
    steps = await told(books)
    assert [(step.what, step.who) for step in steps] == [
        ("order.registered", "test"),
        ("checkout.created", None),
        ("webhook.received", None),
        ("order.moved", "worker:confirmations"),
        ("fact.decided", None),
        ("event.applied", None),
        ("fact.published", None),
    ]
    received, moved, fact = steps[2], steps[3], steps[4]
    assert received.detail["key_fingerprint"] == SECRET.fingerprint
    assert (received.detail["event_id"], received.detail["deliveries"]) == ("evt-1", 2)
    assert (moved.detail["from"], moved.detail["to"]) == ("pending", "paid")
    assert fact.detail["fact_id"] == "order.paid/siglume/evt-1"
    assert steps == sorted(steps, key=lambda step: step.at)
    assert all(step.after is not None and step.after >= 0 for step in steps[1:])


async def test_an_order_that_people_had_to_look_at(books: TestBooks) -> None:
    desk = Desk(books)
    await books.register(new_order())
    await books.apply(now_received(payment(challenge_hash="sha256:lost", amount_minor=1300)))
    await desk.claim(1)
    async with connected(books.pool) as connection:
        await notes.add(connection, NoteThing.REVIEW, "1", "buyer sent the receipt", author=ANN)
        await notes.add(connection, NoteThing.ORDER, "order-1", "paid under another challenge", author=ANN)
    now = datetime.now(UTC)
    await desk.resolve(1, "link-order", "order-1", accept_mismatch=True, approvals=2, now=now)
    await desk.approve(1, actor=BOB)
    steps = await told(books)
    assert [(step.what, step.who) for step in steps] == [
        ("order.registered", "test"),
        ("checkout.created", None),
        ("webhook.received", None),
        ("fact.decided", None),
        ("review.opened", None),
        ("review.claimed", ANN),
        ("note", ANN),
        ("note", ANN),
        ("review.proposed", ANN),
        ("checkout.created", None),
        ("order.moved", BOB),
        ("fact.decided", None),
        ("review.closed", BOB),
        ("event.applied", None),
    ]
    by_name = {step.what: step.detail for step in steps}
    assert by_name["review.opened"]["reason"] == "unknown_challenge_hash"
    assert by_name["review.closed"]["resolution"] == "link-order"
    assert by_name["review.proposed"]["accepted"] == "amount_mismatch"


async def test_dead_letters_and_replays_are_part_of_the_story(books: TestBooks) -> None:
    await books.register(new_order())
    failed = envelope(payment(), received_at=datetime.now(UTC), failure=Failure("handler_failed", "KeyError"))
    async with connected(books.pool) as connection:
        await dead_letters.archive(connection, [(failed, Failure("handler_failed", "KeyError"))])
    await books.rows(
        """
        INSERT INTO kessai.replays (source, filter, planned_by, started_by, started_at, why)
        VALUES ('dead_letters', '{}', 'cli:ann', 'cli:bob', clock_timestamp(), 'mended')
        """
    )
    await books.apply(now_received(payment()))
    await books.rows(
        """
        INSERT INTO kessai.replay_items (replay_id, item, endpoint, event_id, receipt_id, received_at, outcome,
                                         settled_at)
        SELECT 1, 1, endpoint, event_id, receipt_id, received_at, 'applied', clock_timestamp()
        FROM kessai.dead_letters
        """
    )
    steps = await told(books)
    seen = [(step.what, step.who) for step in steps if step.what.startswith(("dead_letter", "replay"))]
    assert seen == [
        ("dead_letter.kept", None),
        ("replay.planned", "cli:ann"),
        ("replay.started", "cli:bob"),
        ("dead_letter.resolved", None),
        ("replay.settled", None),
    ]


async def test_an_order_that_does_not_exist_has_no_story(books: TestBooks) -> None:
    with pytest.raises(OrderNotFound):
        await told(books, "order-9")
