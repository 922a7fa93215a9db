"""A dead letter is kept once, names its event, and gives the event id up to whoever can apply it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from shared.broker.envelope import Envelope, Failure, ReplayMark
from shared.ledger import dead_letter_search, dead_letters, receipts, tallies
from shared.ledger.database import connected
from shared.ledger.incoming import read
from shared.ledger.proof import Verdict, prove
from shared.sdrp.signature import MAX_HEADER
from tests.given import SECRET, envelope, new_order, payment
from tests.integration.ledger.books import TestBooks

REFUSED = Failure("unacceptable_row", "CheckViolationError")


async def archive(books: TestBooks, *letters: tuple[Envelope, Failure]) -> None:
    async with connected(books.pool) as connection:
        await dead_letters.archive(connection, letters)


async def listed(books: TestBooks) -> Sequence[dead_letter_search.DeadLetter]:
    async with connected(books.pool) as connection:
        return await dead_letter_search.search(connection, dead_letter_search.DeadLetterFilter(), limit=100)


async def test_it_is_kept_with_its_bytes_and_claims_its_event(books: TestBooks) -> None:
    dead = envelope(payment(), attempts=4)
    await archive(books, (dead, REFUSED))
    (letter,) = await listed(books)
    assert (letter.reason, letter.error, letter.attempts) == ("unacceptable_row", "CheckViolationError", 4)
    assert (letter.endpoint, letter.event_id, letter.type) == ("siglume", "evt-1", "direct_payment.confirmed")
    async with connected(books.pool) as connection:
        _, raw = await dead_letter_search.find(connection, letter.dead_letter_id)
    assert raw == payment()
    assert await books.outcome("evt-1") == ("dead_letter", "unacceptable_row", None)


async def test_the_longest_signature_that_the_door_takes_can_be_proved_again(books: TestBooks) -> None:
    """Schemes that we do not know make it long; cut, it would prove nothing."""
    dead = envelope(payment())
    dead = dead._replace(signature=f"{dead.signature},v9=".ljust(MAX_HEADER, "x"))
    await archive(books, (dead, REFUSED))
    async with connected(books.pool) as connection:
        _, kept = await receipts.of_dead_letter(connection, 1)
    proof = prove(kept.raw, kept.signature, kept.key_fingerprint, secrets=(SECRET,))
    assert (kept.signature, proof.verdict) == (dead.signature, Verdict.PROVED)


async def test_the_same_receipt_is_kept_once_with_its_latest_failure(books: TestBooks) -> None:
    dead = envelope(payment())
    await archive(books, (dead, REFUSED), (dead._replace(attempts=2), Failure("handler_error", "KeyError")))
    await archive(books, (dead._replace(attempts=1), Failure("retries_exhausted", "SerializationError")))
    (letter,) = await listed(books)
    assert (letter.reason, letter.attempts) == ("retries_exhausted", 2)
    assert letter.last_seen >= letter.first_seen


async def test_it_counts_as_a_delivery_once_and_a_replay_as_none(books: TestBooks) -> None:
    first, second = envelope(payment()), envelope(b"no event")
    replayed = envelope(payment("evt-2"))._replace(replay=ReplayMark(1, 1))
    await archive(books, (first, REFUSED), (first, REFUSED), (second, REFUSED), (replayed, REFUSED))
    await archive(books, (first, REFUSED))
    async with connected(books.pool) as connection:
        counted = await tallies.by_minute(connection, since=datetime.now(UTC) - timedelta(minutes=5))
        (key,) = await tallies.by_key(connection)
    assert sum(minute.deliveries for minute in counted if minute.outcome == "dead_letter") == 2
    assert (key.key_fingerprint, key.day) == (SECRET.fingerprint, 2)


async def test_what_no_key_vouched_for_is_no_use_of_a_key(books: TestBooks) -> None:
    await archive(books, (envelope(b"\xff")._replace(endpoint="-", key_fingerprint=""), REFUSED))
    async with connected(books.pool) as connection:
        assert await tallies.by_key(connection) == []


async def test_bytes_that_name_no_event_are_kept_without_a_claim(books: TestBooks) -> None:
    await archive(books, (envelope(b"\x00\xff not json"), Failure("malformed:not_json", "MalformedEvent", "a\0b")))
    (letter,) = await listed(books)
    assert (letter.event_id, letter.detail) == (None, "a\N{REPLACEMENT CHARACTER}b")
    assert not await books.rows("SELECT FROM kessai.webhook_events")


async def test_a_replayed_dead_letter_is_applied_and_counts_as_delivered_once(books: TestBooks) -> None:
    await books.register(new_order())
    dead = envelope(payment())
    await archive(books, (dead, REFUSED))
    await books.apply(read(dead))
    assert await books.outcome("evt-1") == ("applied", None, "order-1")
    assert await books.value("SELECT deliveries FROM kessai.webhook_events") == 1
    assert await books.moves() == [("order-1", "pending", "paid")]


async def test_a_later_delivery_takes_the_event_over_and_counts(books: TestBooks) -> None:
    await books.register(new_order())
    dead = envelope(payment())
    await archive(books, (dead, REFUSED))
    await books.apply(payment())
    await books.apply(read(dead))
    row = await books.row("SELECT outcome, kind, deliveries, receipt_id FROM kessai.webhook_events")
    assert (row["outcome"], row["kind"]) == ("applied", "standard_settled")
    assert row["deliveries"] == 3
    assert row["receipt_id"] != dead.receipt_id
    assert len(await books.moves()) == 1


async def test_a_dead_letter_that_comes_late_leaves_the_applied_event_alone(books: TestBooks) -> None:
    await books.register(new_order())
    await books.apply(payment())
    await archive(books, (envelope(payment()), REFUSED))
    assert await books.outcome("evt-1") == ("applied", None, "order-1")
    assert len(await listed(books)) == 1
