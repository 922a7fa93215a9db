"""The archive of dead letters: whatever lies in the queue is kept once, with the reason that holds."""

import pytest

from shared.broker.envelope import Failure, encode
from shared.broker.topology import (
    CONFIRMATIONS_QUEUE,
    DEAD,
    DEAD_LETTER,
    DEAD_LETTERS_QUEUE,
    DELIVERY_LIMIT,
    EVENTS,
    REPLAYS_QUEUE,
)
from tests.given import envelope, payment
from tests.integration.workers.bench import Bench, until


async def kept(bench: Bench, count: int) -> None:
    async def so() -> bool:
        return len(await bench.letters()) == count and await bench.depth(DEAD_LETTERS_QUEUE) == 0

    await until(so)


async def test_a_dead_letter_is_kept_once_however_often_it_is_delivered(bench: Bench) -> None:
    dead = envelope(payment(), attempts=3, failure=Failure("handler_error", "KeyError", "no 'x'"))
    async with bench.running(bench.dead_letters()):
        await bench.send(dead, dead, exchange=DEAD, routing_key=DEAD_LETTER)
        await kept(bench, 1)
        await bench.send(dead, exchange=DEAD, routing_key=DEAD_LETTER)
        await kept(bench, 1)
    (letter,) = await bench.letters()
    assert (letter["reason"], letter["error"], letter["detail"]) == ("handler_error", "KeyError", "no 'x'")
    assert (letter["event_id"], letter["attempts"], letter["raw"]) == ("evt-1", 3, payment())
    assert await bench.books.outcome("evt-1") == ("dead_letter", "handler_error", None)


@pytest.mark.parametrize(("queue", "routing_key"), [(CONFIRMATIONS_QUEUE, "confirmation"), (REPLAYS_QUEUE, "replay")])
async def test_what_nobody_could_settle_arrives_with_the_brokers_reason(
    bench: Bench, queue: str, routing_key: str
) -> None:
    await bench.send(envelope(payment()), routing_key=routing_key)
    await bench.give_up(queue)
    async with bench.running(bench.dead_letters()):
        await kept(bench, 1)
    (letter,) = await bench.letters()
    assert (letter["reason"], letter["error"]) == ("delivery_limit", "RabbitMQ")
    assert str(DELIVERY_LIMIT) in letter["detail"]
    assert await bench.books.outcome("evt-1") == ("dead_letter", "delivery_limit", None)


async def test_the_reason_is_that_of_the_last_death(bench: Bench) -> None:
    """A message that once waited in a retry queue died there, too, by its time."""
    channel = await bench.channel()
    await channel.queue_declare(
        "waiting",
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-message-ttl": 1,
            "x-dead-letter-exchange": EVENTS,
            "x-dead-letter-routing-key": "confirmation",
        },
    )
    await bench.send(envelope(payment(), attempts=1), exchange="", routing_key="waiting")
    await until(lambda: bench.holds(CONFIRMATIONS_QUEUE, 1))
    await bench.give_up()
    async with bench.running(bench.dead_letters()):
        await kept(bench, 1)
    (letter,) = await bench.letters()
    assert (letter["reason"], letter["error"], letter["attempts"]) == ("delivery_limit", "RabbitMQ", 1)


async def test_bytes_that_nobody_of_ours_wrote_are_kept_as_they_are(bench: Bench) -> None:
    foreign = [b"", b"\x00\x01", b"{}", b"not an envelope", encode(envelope(b"x")).partition(b"\n")[0], b"\n" * 10]
    await bench.send(*foreign, *foreign, exchange=DEAD, routing_key=DEAD_LETTER)
    async with bench.running(bench.dead_letters()):
        await kept(bench, len(foreign))
    letters = await bench.letters()
    assert {bytes(letter["raw"]) for letter in letters} == set(foreign)
    assert {(letter["endpoint"], letter["reason"]) for letter in letters} == {("-", "unreadable_envelope")}
    assert await bench.events() == 0


async def test_a_letter_that_postgres_refuses_is_kept_as_bytes_and_stops_nobody(bench: Bench) -> None:
    await bench.pool.execute("ALTER TABLE kessai.dead_letters ADD CHECK (event_id <> 'evt-7')")
    letters = [envelope(payment(f"evt-{n}"), failure=Failure("handler_error", "KeyError")) for n in range(20)]
    await bench.send(*letters, exchange=DEAD, routing_key=DEAD_LETTER)
    async with bench.running(bench.dead_letters()):
        await kept(bench, 20)
    (refused,) = [letter for letter in await bench.letters() if letter["event_id"] is None]
    assert refused["raw"] == encode(letters[7])
    assert refused["reason"] == "handler_error"
    assert "CheckViolationError" in refused["detail"]
    assert await bench.events("dead_letter") == 19
