"""A replay hands events over once more: predicted beforehand, harmless to repeat, alive after any crash."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.broker.envelope import Failure, encode
from shared.broker.publisher import Outgoing
from shared.broker.topology import DEAD, DEAD_LETTER, REPLAYS_QUEUE
from shared.ledger import discards, reviews
from shared.ledger.books import Shop
from shared.ledger.database import connected
from shared.ledger.replays import items, jobs, predict
from shared.ledger.replays.jobs import Act, NotPossibleNow, Replay, ReplayState, Terms
from shared.ledger.replays.plans import BeyondHorizon, NothingToReplay, Plan, plan
from shared.ledger.replays.selection import EmptyFilter, Selection, Source
from tests.given import ENDPOINT, NOW, confirmation, envelope, incoming, new_order, payment, usage
from tests.integration.workers.bench import Bench, until

ALL = Selection(everything=True)
ARCHIVE = Selection(source=Source.ARCHIVE, everything=True)
TERMS = Terms("INC-1", rate=None)
FAILED = Failure("handler_error", "KeyError")


async def bury(bench: Bench, *raws: bytes, failure: Failure = FAILED) -> None:
    """Make dead letters of these bodies."""
    letters = [envelope(raw, attempts=1, failure=failure) for raw in raws]
    async with bench.running(bench.dead_letters()):
        outcomes = await bench.publisher.publish_many([Outgoing(encode(each), DEAD, DEAD_LETTER) for each in letters])
        assert set(outcomes) == {None}

        async def so() -> bool:
            return len(await bench.letters()) >= len(letters)

        await until(so)


async def planned(bench: Bench, selection: Selection = ALL) -> Plan:
    return await plan(bench.pool, bench.pool, selection, bench.books.shops, actor="test")


async def started(bench: Bench, made: Plan, terms: Terms = TERMS) -> None:
    async with connected(bench.pool) as connection:
        await jobs.start(connection, made.plan_id, terms, actor="test")


async def told(bench: Bench, made: Plan, act: Act) -> Replay:
    async with connected(bench.pool) as connection:
        return await jobs.tell(connection, made.plan_id, act, actor="test")


async def seen(bench: Bench, made: Plan) -> Replay:
    async with connected(bench.pool) as connection:
        return await jobs.find(connection, made.plan_id)


async def ended(bench: Bench, made: Plan) -> Replay:
    async def so() -> bool:
        return (await seen(bench, made)).state in jobs.ENDED

    await until(so)
    return await seen(bench, made)


async def test_what_was_predicted_comes_true(bench: Bench) -> None:
    """Two payments of one order in different letters: the second sees what the first would have done."""
    await bench.books.register(*(new_order(f"order-{n}") for n in range(4)))
    await bench.books.apply(payment("evt-known", "order-3"))
    await bury(
        bench,
        *(payment(f"evt-{n}", f"order-{n}") for n in range(3)),
        payment("evt-second", "order-0", requirement_id="another"),
        payment("evt-again", "order-3"),
        payment("evt-nobodys", "order-9"),
        b"{broken",
    )
    before = await bench.books.everything("orders", "webhook_events", "reviews", "outbox", "audit", "dead_letters")

    made = await planned(bench)

    expected = {"applied": 3, "review": 2, "duplicate": 1, "dead_letter": 1}
    assert made.predicted == expected
    assert await bench.books.everything(*before) == before, "a prediction changed the books"
    await started(bench, made, replace(TERMS, stop_on_fail=1.0))
    async with bench.running(bench.replays(), bench.confirmations(), bench.dead_letters()):
        job = await ended(bench, made)
    assert (job.state, job.results) == (ReplayState.DONE, expected)
    async with connected(bench.pool) as connection:
        for item in await items.list_items(connection, made.plan_id, limit=10):
            assert (item.predicted_outcome, item.predicted_reason) == (item.outcome, item.reason)
    assert [(await bench.books.order(f"order-{n}")).state for n in range(3)] == ["paid"] * 3
    open_letters = [letter for letter in await bench.letters() if letter["state"] == "open"]
    assert [(letter["raw"], letter["attempts"]) for letter in open_letters] == [(b"{broken", 2)]


async def test_a_requirement_that_an_earlier_page_would_spend_is_foreseen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "PAGE", 1)
    await bench.books.register(new_order("order-1"), new_order("order-2"))
    await bury(bench, *(payment(f"evt-{n}", f"order-{n}", requirement_id="req-x") for n in (1, 2)))
    assert (await planned(bench)).predicted == {"applied": 1, "review": 1}


async def test_replaying_the_whole_archive_twice_changes_nothing(bench: Bench) -> None:
    await bench.books.register(new_order("order-1"), new_order("order-2", 200))
    await bench.books.apply(payment("evt-1"), usage("evt-2", "order-2"), payment("evt-3", "order-7"))
    tables = ("orders", "webhook_events", "webhook_archive", "reviews", "outbox", "metered_usage", "tallies")
    before = await bench.books.everything(*tables)
    for _ in range(2):
        made = await planned(bench, ARCHIVE)
        await started(bench, made)
        async with bench.running(bench.replays(), bench.confirmations()):
            job = await ended(bench, made)
        assert job.results == {"duplicate": 3}
    assert await bench.books.everything(*tables) == before


async def test_an_event_that_a_newer_classifier_knows_leaves_its_review(bench: Bench) -> None:
    """What the books called unknown is ruled on anew, and once; what stays unknown stays in review."""
    await bench.books.register(new_order("order-1"))
    bench.books.shops = {ENDPOINT: Shop(merchant="another_house", allow_metered_payments=True)}
    await bench.books.apply(payment("evt-1"), payment("evt-2", "order-1", mode="other"))
    bench.books.shops = {ENDPOINT: Shop(merchant="tea_house", allow_metered_payments=True)}
    selection = Selection(source=Source.REVIEWS, everything=True)

    for expected in ({"applied": 1, "review": 1}, {"review": 1}):
        made = await planned(bench, selection)
        assert made.predicted == expected
        await started(bench, made)
        async with bench.running(bench.replays(), bench.confirmations()):
            assert (await ended(bench, made)).results == expected

    assert await bench.books.reviews() == [
        ("evt-1", "merchant_mismatch", "closed"),
        ("evt-2", "unsupported_confirmation_mode", "open"),
    ]
    assert await bench.books.outcome("evt-1") == ("applied", None, "order-1")
    assert (await bench.books.told()).count(("order.paid", "order-1")) == 1


async def test_a_question_that_a_person_has_answered_is_not_asked_again(bench: Bench) -> None:
    """Else the event would wait in a review that nobody can see: each reason is opened once."""
    strange, ours = (Shop(merchant=merchant, allow_metered_payments=True) for merchant in ("another", "tea_house"))
    bench.books.shops = {ENDPOINT: strange}
    await bench.books.apply(payment())
    closed = ("evt-1", "merchant_mismatch", "closed")
    for shop in (ours, strange):
        bench.books.shops = {ENDPOINT: shop}
        made = await planned(bench, Selection(source=Source.REVIEWS, everything=True))
        await started(bench, made)
        async with bench.running(bench.replays(), bench.confirmations()):
            assert (await ended(bench, made)).results == {"review": 1}
        assert await bench.books.reviews() == [closed, ("evt-1", "unknown_challenge_hash", "open")]
    assert await bench.books.outcome("evt-1") == ("review", "unknown_challenge_hash", None)
    await bench.books.register(new_order())
    assert await bench.books.outcome("evt-1") == ("applied", None, "order-1")


async def test_a_job_goes_on_where_a_killed_worker_left_it(bench: Bench) -> None:
    """Cut off after the broker had the events and before the books knew: they are handed over twice."""
    await bench.books.register(*(new_order(f"order-{n}") for n in range(40)))
    await bury(bench, *(payment(f"evt-{n}", f"order-{n}") for n in range(40)))
    made = await planned(bench)
    await started(bench, made)
    async with connected(bench.pool) as connection:
        killed = connection.transaction()
        await killed.start()
        await bench.replays().take_turn(connection)
        await killed.rollback()
    assert await bench.depth(REPLAYS_QUEUE) == 5

    async with bench.running(bench.replays(), bench.confirmations(), bench.replays()):
        job = await ended(bench, made)

    assert (job.state, job.results) == (ReplayState.DONE, {"applied": 40})
    assert len(await bench.books.told()) == 40


async def test_a_bad_canary_stops_the_rest(bench: Bench) -> None:
    await bury(bench, *(b"{broken %d" % n for n in range(20)))
    made = await planned(bench)
    await started(bench, made, replace(TERMS, canary=3))
    async with bench.running(bench.replays(), bench.confirmations(), bench.dead_letters()):
        job = await ended(bench, made)
        assert (job.state, job.sent, job.results) == (ReplayState.STOPPED, 3, {"dead_letter": 3})
        assert "3 of 3 canary events failed again" in str(job.ended_because)
        assert [letter["attempts"] for letter in await bench.letters()].count(2) == 3


async def test_a_paused_job_stands_still_until_it_is_resumed(bench: Bench) -> None:
    await bury(bench, *(payment(f"evt-{n}", f"order-{n}") for n in range(30)))
    made = await planned(bench)
    await started(bench, made, replace(TERMS, rate=20.0))
    async with bench.running(bench.replays(), bench.confirmations()):

        async def begun() -> bool:
            return (await seen(bench, made)).done > 0

        await until(begun)
        paused = await told(bench, made, Act.PAUSE)
        await asyncio.sleep(0.6)
        assert (await seen(bench, made)).sent == paused.sent < 30
        await told(bench, made, Act.RESUME)
        assert (await ended(bench, made)).results == {"review": 30}
    acts = await bench.books.rows("SELECT actor, action FROM kessai.audit WHERE subject LIKE 'replay:%' ORDER BY at")
    assert [(row["actor"], row["action"]) for row in acts] == [
        ("test", "replay.start"),
        ("test", "replay.pause"),
        ("test", "replay.resume"),
        ("worker:dead-letters", "replay.done"),
    ]


async def test_an_event_whose_type_fits_no_amqp_property_is_replayed(bench: Bench) -> None:
    """AMQP's short strings hold 255 bytes; the type of an event may have 255 characters."""
    await bury(bench, confirmation("evt-long", {}, type_="あ" * 100), payment("evt-2"))
    made = await planned(bench)
    await started(bench, made)
    async with bench.running(bench.replays(), bench.confirmations()):
        assert (await ended(bench, made)).results == {"review": 2}


async def test_what_was_lost_on_the_way_is_handed_over_again_on_resume(bench: Bench) -> None:
    """As after a purged queue: a job that only waited would wait for ever."""
    await bury(bench, *(payment(f"evt-{n}", f"order-{n}") for n in range(8)))
    made = await planned(bench)
    await started(bench, made)
    async with bench.running(bench.replays()):
        await until(lambda: bench.holds(REPLAYS_QUEUE, 5))
        assert len(await bench.taken(REPLAYS_QUEUE)) == 5
        await told(bench, made, Act.PAUSE)
    await told(bench, made, Act.RESUME)
    async with bench.running(bench.replays(), bench.confirmations()):
        assert (await ended(bench, made)).results == {"review": 8}


async def test_a_dead_letter_that_was_discarded_after_the_plan_stays_discarded(bench: Bench) -> None:
    await bench.books.register(new_order("order-1"), new_order("order-2"))
    await bury(bench, payment("evt-1", "order-1"), payment("evt-2", "order-2"))
    made = await planned(bench)
    async with connected(bench.pool) as connection:
        (first, *_) = await bench.letters()
        chosen = discards.Selection(ids=[first["dead_letter_id"]])
        await discards.discard(connection, chosen, actor="test", why="refunded by hand")
    await started(bench, made)
    async with bench.running(bench.replays(), bench.confirmations()):
        assert (await ended(bench, made)).results == {"applied": 1, "ignored": 1}
    assert sorted(letter["state"] for letter in await bench.letters()) == ["discarded", "resolved"]
    assert sorted([(await bench.books.order(f"order-{n}")).state for n in (1, 2)]) == ["paid", "pending"]


async def test_a_review_that_a_person_holds_is_left_to_them(bench: Bench) -> None:
    await bench.books.register(new_order())
    bench.books.shops = {ENDPOINT: Shop(merchant="another")}
    await bench.books.apply(payment())
    bench.books.shops = {ENDPOINT: Shop(merchant="tea_house")}
    async with connected(bench.pool) as connection:
        await reviews.claim(connection, 1, actor="cli:ann")
    made = await planned(bench, Selection(source=Source.REVIEWS, everything=True))
    await started(bench, made)
    async with bench.running(bench.replays(), bench.confirmations()):
        assert (await ended(bench, made)).results == {"duplicate": 1}
    assert await bench.books.reviews() == [("evt-1", "merchant_mismatch", "open")]


async def test_what_is_not_possible_is_said(bench: Bench) -> None:
    with pytest.raises(EmptyFilter):
        Selection()
    with pytest.raises(NothingToReplay):
        await planned(bench)
    await bury(bench, payment())
    made = await planned(bench)
    with pytest.raises(NotPossibleNow, match=r"is planned: only one that is running can be told to pause"):
        await told(bench, made, Act.PAUSE)
    await started(bench, made)
    async with connected(bench.pool) as connection:
        with pytest.raises(jobs.ReplayChanged, match="is running by now"):
            await jobs.tell(connection, made.plan_id, Act.CANCEL, actor="test", seen="planned")
    await told(bench, made, Act.CANCEL)
    with pytest.raises(NotPossibleNow, match="is cancelled"):
        await started(bench, made)


async def test_beyond_the_dedupe_horizon_nothing_is_replayed(bench: Bench) -> None:
    """Its claim is gone: it would be applied a second time."""
    await bench.books.apply(incoming(payment(), received_at=NOW - timedelta(days=30)))
    await bury(bench, payment("evt-2"))
    await bench.pool.execute("UPDATE kessai.dedupe_horizon SET claims_before = $1", datetime.now(UTC))
    assert (await planned(bench)).events == 1, "an open dead letter's claim is never pruned"
    await bench.pool.execute("UPDATE kessai.webhook_events SET event_id = 'evt-other' WHERE event_id = 'evt-2'")
    with pytest.raises(BeyondHorizon, match="1 of these events came before"):
        await planned(bench)
