"""The confirmations role between a real queue and real books: every delivery ends where it belongs."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from shared.broker.envelope import decode, encode
from shared.broker.topology import (
    CONFIRMATIONS_QUEUE,
    DEAD_LETTERS_QUEUE,
    EVENTS,
    REPLAY,
    RETRY_TIERS,
    RetryTier,
)
from shared.ledger.incoming import Incoming
from shared.observe.metrics import new_registry
from tests.given import confirmation, envelope, new_order, payment, settlement, usage
from tests.integration.workers.bench import Bench, until
from workers import database
from workers.confirmations import failed_events
from workers.confirmations.applier import Applier
from workers.confirmations.metrics import ConfirmationMetrics
from workers.confirmations.prepare import prepare

REFUSE = {
    "data": "RAISE EXCEPTION 'no such row here' USING ERRCODE = '22023'",
    "check": "RAISE EXCEPTION 'no such row here' USING ERRCODE = '23514'",
    "plain": "RAISE EXCEPTION 'no such row here'",
    "transient": "RAISE EXCEPTION 'others are in the way' USING ERRCODE = '40001'",
}


async def refuse(bench: Bench, event_id: str, how: str, *, times: int | None = None) -> None:
    """Postgres refuses to apply this event, so many times or for ever; a sequence counts on through rollbacks."""
    condition = "true" if times is None else f"nextval('refusals') <= {times}"
    await bench.pool.execute(
        f"""
        CREATE SEQUENCE refusals;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.event_id = '{event_id}' AND NEW.outcome <> 'dead_letter' AND {condition} THEN
                {REFUSE[how]};
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON kessai.webhook_events FOR EACH ROW EXECUTE FUNCTION refuse();
        """
    )


async def settled(bench: Bench, count: int) -> None:
    """Wait until so many events have their outcome and the queue is empty."""

    async def so() -> bool:
        return await bench.events() == count and await bench.depth(CONFIRMATIONS_QUEUE) == 0

    await until(so)


async def test_a_backlog_is_applied_and_acknowledged(bench: Bench) -> None:
    await bench.books.register(*(new_order(f"order-{n}") for n in range(300)))
    await bench.send(*(envelope(payment(f"evt-{n}", f"order-{n}")) for n in range(300)))
    async with bench.running(bench.confirmations(batch_size=50)):
        await settled(bench, 300)
    assert await bench.events("applied") == 300
    assert await bench.depth(CONFIRMATIONS_QUEUE) == 0  # nothing went back to it when the role ended


async def test_replays_take_their_own_road_to_the_same_books(bench: Bench) -> None:
    await bench.books.register(new_order())
    await bench.send(envelope(payment()), routing_key=REPLAY)
    async with bench.running(bench.confirmations()):
        await settled(bench, 1)
    assert (await bench.books.order()).state == "paid"


@pytest.mark.parametrize(
    ("how", "reason", "error"),
    [
        ("data", "unacceptable_row", "InvalidParameterValueError"),
        ("check", "unacceptable_row", "CheckViolationError"),
        ("plain", "handler_error", "RaiseError"),
    ],
)
async def test_the_one_event_that_postgres_refuses_is_found_and_its_neighbours_are_applied(
    bench: Bench, how: str, reason: str, error: str
) -> None:
    await refuse(bench, "evt-17", how)
    await bench.books.register(*(new_order(f"order-{n}") for n in range(40)))
    await bench.send(*(envelope(payment(f"evt-{n}", f"order-{n}")) for n in range(40)))
    async with bench.running(bench.confirmations(), bench.dead_letters()):
        await settled(bench, 40)
    assert await bench.events("applied") == 39
    assert await bench.books.outcome("evt-17") == ("dead_letter", reason, None)
    assert (await bench.books.order("order-17")).state == "pending"
    (letter,) = await bench.letters()
    assert (letter["event_id"], letter["reason"], letter["error"], letter["attempts"]) == ("evt-17", reason, error, 1)
    assert letter["raw"] == payment("evt-17", "order-17")


async def test_an_error_of_counting_makes_no_dead_letter_of_what_is_committed(bench: Bench) -> None:
    class Uncountable(ConfirmationMetrics):
        def committed(self, *, events: int, seconds: float) -> None:
            raise OSError(f"cannot count {events} events")

    await bench.books.register(new_order())
    applier = Applier(bench.retrying_database(), bench.books.shops, Uncountable(new_registry()))
    incoming = prepare(encode(envelope(payment())), {})
    assert isinstance(incoming, Incoming)
    with pytest.raises(OSError, match="cannot count"):
        await applier.apply([incoming])
    assert await bench.events("applied") == 1


async def test_a_type_that_fits_no_amqp_property_is_a_dead_letter_and_stops_nobody(bench: Bench) -> None:
    """AMQP's short strings hold 255 bytes; the type of an event may have 255 characters."""
    long_type = "あ" * 100
    await refuse(bench, "evt-long", "check")
    await bench.books.register(new_order())
    await bench.send(envelope(confirmation("evt-long", {}, type_=long_type)), envelope(payment()))
    async with bench.running(bench.confirmations(), bench.dead_letters()):
        await settled(bench, 2)
    assert (await bench.books.order()).state == "paid"
    (letter,) = await bench.letters()
    assert (letter["event_id"], letter["type"], letter["reason"]) == ("evt-long", long_type, "unacceptable_row")


async def test_a_dead_letter_is_applied_once_its_cause_is_gone(bench: Bench) -> None:
    await refuse(bench, "evt-1", "check")
    await bench.books.register(new_order())
    dead = envelope(payment())
    await bench.send(dead)
    async with bench.running(bench.confirmations(), bench.dead_letters()):
        await settled(bench, 1)
        await bench.pool.execute("DROP TRIGGER refuse ON kessai.webhook_events")
        await bench.send(dead, routing_key=REPLAY)
        await until(lambda: _is_paid(bench))
    assert await bench.books.moves() == [("order-1", "pending", "paid")]
    assert len(await bench.letters()) == 1


async def _is_paid(bench: Bench) -> bool:
    return (await bench.books.order()).state == "paid"


async def test_what_is_in_the_way_for_a_moment_is_waited_out_in_the_process(bench: Bench) -> None:
    await refuse(bench, "evt-1", "transient", times=3)
    await bench.books.register(new_order())
    await bench.send(envelope(payment()))
    async with bench.running(bench.confirmations()):
        await settled(bench, 1)
    assert await bench.events("applied") == 1
    assert [await bench.depth(tier.queue) for tier in RETRY_TIERS] == [0, 0, 0]


async def test_what_stays_in_the_way_waits_ten_seconds_in_a_queue_of_its_own(bench: Bench) -> None:
    await refuse(bench, "evt-1", "transient", times=5)
    await bench.books.register(new_order("order-1"), new_order("order-2"))
    await bench.send(envelope(payment()), envelope(payment("evt-2", "order-2")))
    async with bench.running(bench.confirmations(batch_size=1)):
        began = asyncio.get_running_loop().time()
        await until(lambda: bench.holds(RETRY_TIERS[0].queue, 1))
        await settled(bench, 1)  # the other order did not wait for it
        await settled(bench, 2)
        assert asyncio.get_running_loop().time() - began > 9
    assert await bench.events("applied") == 2


async def test_what_outlives_every_tier_is_a_dead_letter_with_its_attempts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiers = [await _short_tier(bench, tier, milliseconds=100 * n) for n, tier in enumerate(RETRY_TIERS, 1)]
    monkeypatch.setattr(failed_events, "RETRY_TIERS", tuple(tiers))
    await refuse(bench, "evt-1", "transient")
    await bench.send(envelope(payment()), envelope(payment("evt-2", "order-2")))
    async with bench.running(bench.confirmations(), bench.dead_letters()):
        await settled(bench, 2)
    (letter,) = await bench.letters()
    assert (letter["reason"], letter["error"], letter["attempts"]) == ("retries_exhausted", "SerializationError", 4)
    assert "others are in the way" in letter["detail"]
    assert await bench.books.outcome("evt-1") == ("dead_letter", "retries_exhausted", None)


async def test_an_event_whose_order_stays_locked_is_never_a_dead_letter_and_stops_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiers = [await _short_tier(bench, tier, milliseconds=100 * n) for n, tier in enumerate(RETRY_TIERS, 1)]
    monkeypatch.setattr(failed_events, "RETRY_TIERS", tuple(tiers))
    monkeypatch.setattr(database, "CONFLICT_TRIES", 1)
    await bench.books.register(new_order("order-1"), new_order("order-2"))
    with capture_logs() as log:
        async with bench.running(bench.confirmations()):
            async with bench.pool.acquire() as person, person.transaction():
                await person.execute("SELECT FROM kessai.orders WHERE order_id = 'order-1' FOR UPDATE")
                await bench.send(envelope(payment()), envelope(payment("evt-2", "order-2")))
                await until(lambda: _has_waited(log, times=5))
                assert await bench.events("applied") == 1
            await settled(bench, 2)
    assert await bench.events("applied") == 2
    waits = [line["retry_in"] for line in log if line["event"] == "event.failed"]
    assert waits[:5] == [10, 60, 600, 600, 600]


async def _has_waited(log: Sequence[Mapping[str, Any]], *, times: int) -> bool:
    return [line["event"] for line in log].count("event.failed") >= times


async def _short_tier(bench: Bench, tier: RetryTier, *, milliseconds: int) -> RetryTier:
    """The same arguments but for the time."""
    name = f"{tier.queue}.short"
    channel = await bench.channel()
    await channel.queue_declare(
        name,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-message-ttl": milliseconds,
            "x-dead-letter-exchange": EVENTS,
            "x-dead-letter-routing-key": "confirmation",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
    await channel.close()
    return RetryTier(name, tier.seconds)


ENVELOPE_HEAD, _, _ = encode(envelope(b"")).partition(b"\n")
FOREIGN = [
    b"",
    b"\x00\xff\xfe",
    b"not an envelope",
    b"{}\n{}",
    b"[]\n",
    ENVELOPE_HEAD,
    orjson.dumps(orjson.loads(ENVELOPE_HEAD) | {"v": 2}) + b"\n{}",
    b"[" * 100_000,
]


async def test_bytes_that_are_no_envelope_are_kept_once_and_stop_nobody(bench: Bench) -> None:
    await bench.books.register(new_order())
    await bench.send(*FOREIGN, *FOREIGN, envelope(payment()))
    async with bench.running(bench.confirmations(), bench.dead_letters()):
        await settled(bench, 1)
        await until(lambda: _all_kept(bench, len(FOREIGN)))
    letters = await bench.letters()
    assert {bytes(letter["raw"]) for letter in letters} == set(FOREIGN)
    assert {letter["reason"] for letter in letters} == {"unreadable_envelope"}
    assert {letter["endpoint"] for letter in letters} == {"-"}


async def _all_kept(bench: Bench, count: int) -> bool:
    return len(await bench.letters()) == count and await bench.depth(DEAD_LETTERS_QUEUE) == 0


async def test_an_envelope_around_no_event_is_a_dead_letter_that_says_why(bench: Bench) -> None:
    await bench.send(envelope(b"\xef\xbb\xbf{}"), envelope(b'{"id": 7}'), envelope(b'{"id":"evt-1"}'))
    async with bench.running(bench.confirmations(), bench.dead_letters()):
        await until(lambda: _all_kept(bench, 3))
    assert sorted((letter["reason"], letter["event_id"]) for letter in await bench.letters()) == [
        ("malformed:id_not_text", None),
        ("malformed:missing_type", "evt-1"),
        ("malformed:not_json", None),
    ]


IMPOSSIBLE: list[dict[str, object]] = [
    {"endpoint": "a\0b"},
    {"endpoint": ""},
    {"endpoint": "x" * 10_000},
    {"signature": ""},
    {"signature": "a\0b"},
    {"received_at": "0001-01-01T00:00:00+14:00"},
    {"received_at": "9999-12-31T23:59:59-14:00"},
    {"received_at": "2026-11-20T12:00:00+00:00:00.5"},
    {"attempts": 2**40},
    {"event_id": "x" * 10_000, "type": "\0"},
]


async def test_envelopes_with_impossible_fields_end_somewhere_and_stop_nobody(bench: Bench) -> None:
    await bench.books.register(new_order())
    for number, odd in enumerate(IMPOSSIBLE):
        head = orjson.loads(encode(envelope(b"")).partition(b"\n")[0]) | odd
        await bench.send(orjson.dumps(head) + b"\n" + payment(f"evt-strange-{number}", "order-2"))
    await bench.send(envelope(payment()))
    async with bench.running(bench.confirmations(), bench.dead_letters()):
        await until(lambda: _is_paid(bench))
        for number in range(len(IMPOSSIBLE)):
            await until(lambda name=f"evt-strange-{number}": _is_recorded(bench, name))  # type: ignore[misc]
        await until(lambda: bench.holds(DEAD_LETTERS_QUEUE, 0))


async def _is_recorded(bench: Bench, event_id: str) -> bool:
    return bool(
        await bench.books.value(
            """
            SELECT EXISTS (SELECT FROM kessai.webhook_events WHERE event_id = $1 AND outcome <> 'dead_letter')
                OR EXISTS (SELECT FROM kessai.dead_letters WHERE position($2 IN raw) > 0)
            """,
            event_id,
            event_id.encode(),
        )
    )


async def test_every_review_is_told_on_the_queue_of_its_desk(bench: Bench) -> None:
    await bench.books.register(new_order())
    await bench.send(
        envelope(confirmation("evt-other", {}, type_="order.shipped")),
        envelope(payment("evt-nobody", "order-9")),
        envelope(usage("evt-usage", "order-9")),
        envelope(payment("evt-amount", amount_minor=7)),
        envelope(settlement("evt-batch")),
        envelope(settlement("evt-batch-2", chain_receipt_id="other")),
    )
    async with bench.running(bench.confirmations(), bench.outbox()):
        await settled(bench, 6)
        await until(lambda: _is_all_told(bench))
    heard = {
        queue: sorted((fact["event_id"], fact["reason"]) for fact in await _facts(bench, f"kessai.reviews.{queue}"))
        for queue in ("unknown", "metered", "mismatch")
    }
    assert heard == {
        "unknown": [("evt-nobody", "unknown_challenge_hash"), ("evt-other", "not_direct_payment_confirmed")],
        "metered": [("evt-usage", "unknown_metered_challenge_hash")],
        "mismatch": [("evt-amount", "amount_mismatch"), ("evt-batch-2", "batch_conflict")],
    }


async def _is_all_told(bench: Bench) -> bool:
    return not await bench.books.value("SELECT count(*) FROM kessai.outbox WHERE published_at IS NULL")


async def _facts(bench: Bench, queue: str) -> list[dict[str, str]]:
    return [orjson.loads(message.body) for message in await bench.taken(queue)]


async def test_a_failed_event_whose_publish_is_not_confirmed_is_delivered_again(bench: Bench) -> None:
    """Without a queue for the dead letters nothing is acknowledged; with it the poison goes there, and only once."""
    await bench.books.register(new_order())
    channel = await bench.channel()
    await channel.queue_unbind(DEAD_LETTERS_QUEUE, "kessai.dead", "dead-letter")
    await bench.send(b"poison", envelope(payment()))
    async with bench.running(bench.confirmations()):
        await until(lambda: _is_paid(bench))
        assert await bench.depth(DEAD_LETTERS_QUEUE) == 0
        await channel.queue_bind(DEAD_LETTERS_QUEUE, "kessai.dead", "dead-letter")
        await until(lambda: bench.holds(DEAD_LETTERS_QUEUE, 1))
        await until(lambda: bench.holds(CONFIRMATIONS_QUEUE, 0))
    (letter,) = await bench.taken(DEAD_LETTERS_QUEUE)
    assert decode(letter.body).raw == b"poison"
    assert await bench.books.moves() == [("order-1", "pending", "paid")]


async def test_an_endpoint_that_the_worker_was_not_told_of_waits_and_pays_nothing(bench: Bench) -> None:
    """A worker without the configuration of the ingress must not guess what a shop allows."""
    await bench.books.register(new_order(endpoint="other_shop"))
    await bench.send(envelope(payment(), endpoint="other_shop"))
    async with bench.running(bench.confirmations()):
        await until(lambda: bench.holds("kessai.retry.10s", 1))
    assert await bench.books.moves() == []
