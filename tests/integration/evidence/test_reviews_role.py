"""What the platform says stands beside each review; what that settles is suggested, or by policy decided."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from deploy.sandbox.core.faults import Fault
from shared.ledger import platform_evidence, resolve, reviews, suggested
from shared.ledger.database import connected
from shared.ledger.evidence import platform_says
from shared.ledger.platform_evidence import Leased
from shared.ledger.reviews import RecordedReview, ReviewChanged
from shared.ledger.suggestions import ReviewPolicy
from shared.observe.metrics import new_registry
from tests.given import ENDPOINT, incoming, payment, usage
from tests.integration.ledger.desk import Desk
from tests.integration.sweep.stall import Answers, Stall, refused
from tests.integration.workers.bench import Bench, until
from workers.database import RetryingDatabase
from workers.platform_sessions import PlatformAway
from workers.reviews.evidence import Evidence, EvidenceTerms
from workers.reviews.metrics import ReviewMetrics
from workers.reviews.role import Reviews

LOST = "sha256:" + "1" * 64


def terms(stall: Stall, policy: ReviewPolicy = ReviewPolicy.SUGGEST, approvals: int = 1) -> EvidenceTerms:
    return EvidenceTerms(policy, approvals, stall.books.shops)


def role(
    bench: Bench,
    stall: Stall,
    policy: ReviewPolicy = ReviewPolicy.SUGGEST,
    *,
    registry: CollectorRegistry | None = None,
) -> Reviews:
    return Reviews(
        bench.amqp_url,
        books=RetryingDatabase(stall.books.pool),
        accesses={ENDPOINT: stall.access},
        terms=terms(stall, policy),
        metrics=ReviewMetrics(registry or new_registry()),
        per_minute=6000,
        idle=0.2,
    )


async def lease(stall: Stall, *, limit: int = 100) -> list[Leased]:
    async with connected(stall.books.pool) as connection:
        return await platform_evidence.lease(connection, [ENDPOINT], now=datetime.now(UTC), limit=limit)


async def gather(stall: Stall, **terms_: Any) -> list[str]:  # noqa: ANN401
    """What became of each review that is due."""
    evidence = Evidence(
        stall.client, terms(stall, **terms_), RetryingDatabase(stall.books.pool), lambda: datetime.now(UTC)
    )
    return [await evidence.gather(each) for each in await lease(stall)]


async def review_of(stall: Stall, review_id: int = 1) -> tuple[RecordedReview, dict[str, Any]]:
    async with connected(stall.books.pool) as connection:
        return await reviews.find(connection, review_id)


async def lose_challenge(stall: Stall) -> None:
    """The books know the session of order-1, and not the challenge that it was paid with."""
    await stall.books.rows("DELETE FROM kessai.challenges")
    await stall.books.rows("UPDATE kessai.checkout_attempts SET challenge_hash = $1", LOST)


async def lost_payment(stall: Stall) -> None:
    """An unknown challenge whose session we opened for order-1."""
    await stall.sell(drop=False)
    await lose_challenge(stall)
    await stall.hear()
    assert await stall.books.value("SELECT reason FROM kessai.reviews") == "unknown_challenge_hash"


async def test_evidence_stands_beside_a_review(stall: Stall) -> None:
    await stall.sell(drop=False)
    await stall.books.rows("UPDATE kessai.orders SET amount_minor = 1300")
    await stall.hear()
    assert await gather(stall) == ["attached"]
    review, evidence = await review_of(stall)
    told = platform_says(evidence)
    assert told is not None
    ((title, sides),) = told.parts
    assert (title, [each.field for each in sides.said if each.differs]) == ("session", ["amount_minor"])
    assert (review.suggested, review.version) == (None, 1)
    assert await gather(stall) == []


async def test_an_unknown_challenge_of_our_session_is_suggested_and_taken_with_one_act(stall: Stall) -> None:
    await lost_payment(stall)
    assert await gather(stall) == ["suggested"]
    review, _ = await review_of(stall)
    assert review.suggested is not None
    assert (review.suggested["resolution"], review.suggested["order_id"]) == ("link-order", "order-1")
    assert (await stall.books.order()).state == "pending"
    async with connected(stall.books.pool) as connection:
        with pytest.raises(ReviewChanged):
            await suggested.follow(
                connection, 1, actor="cli:ann", shops=stall.books.shops, now=datetime.now(UTC), version=1
            )
        done = await suggested.follow(
            connection, 1, actor="cli:ann", shops=stall.books.shops, now=datetime.now(UTC), version=review.version
        )
    assert (done.done, done.order_state) == ("closed", "paid")
    assert ("cli:ann", "review.resolved", "review:1") in await stall.books.acts()


async def test_by_policy_it_is_decided(stall: Stall) -> None:
    await lost_payment(stall)
    assert await gather(stall, policy=ReviewPolicy.ACT) == ["resolved"]
    review, _ = await review_of(stall)
    assert (review.state, review.closed_by, review.resolution) == ("closed", "worker:reviews", "link-order")
    assert await stall.books.moves() == [("order-1", "pending", "paid")]


@pytest.mark.parametrize(
    ("terms_", "done"),
    [
        ({"policy": ReviewPolicy.OFF}, "attached"),
        ({"policy": ReviewPolicy.ACT, "approvals": 2}, "suggested"),
    ],
)
async def test_nothing_is_decided_where_it_must_not_be(stall: Stall, terms_: dict[str, Any], done: str) -> None:
    await lost_payment(stall)
    assert await gather(stall, **terms_) == [done]
    assert (await stall.books.order()).state == "pending"
    assert (await review_of(stall))[0].state == "open"


async def test_a_review_that_a_person_holds_is_left_to_them(stall: Stall) -> None:
    await lost_payment(stall)
    await Desk(stall.books).claim(1, actor="cli:ann")
    assert await gather(stall, policy=ReviewPolicy.ACT) == ["suggested"]
    assert (await stall.books.order()).state == "pending"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE kessai.orders SET amount_minor = 1201",
        "UPDATE kessai.orders SET currency = 'USD'",
        "UPDATE kessai.orders SET state = 'cancelled'",
    ],
)
async def test_what_differs_is_never_suggested(stall: Stall, change: str) -> None:
    await lost_payment(stall)
    await stall.books.rows(change)
    assert await gather(stall, policy=ReviewPolicy.ACT) == ["attached"]
    assert (await review_of(stall))[0].suggested is None


async def test_a_payment_of_the_same_amount_alone_says_nothing_of_an_order(stall: Stall) -> None:
    """One order alone is like the unknown payment, and its session has another challenge: it is another payment."""
    await stall.sell("order-1")
    unknown = payment("evt-9", "order-9", merchant="sandbox_merchant")
    await stall.books.apply(incoming(unknown, received_at=datetime.now(UTC)))
    assert await gather(stall, policy=ReviewPolicy.ACT) == ["attached"]
    review, evidence = await review_of(stall)
    told = platform_says(evidence)
    assert told is not None
    assert (told.parts, told.nothing, review.suggested) == ([], "nothing of ours leads to it", None)


async def test_who_acts_while_the_platform_is_asked_wins(stall: Stall) -> None:
    await lost_payment(stall)
    (leased,) = await lease(stall)
    clock = [datetime.now(UTC)]
    evidence = Evidence(
        stall.client, terms(stall, ReviewPolicy.ACT), RetryingDatabase(stall.books.pool), lambda: clock[0]
    )
    asked = evidence._look_up_session

    async def slow(case: Any) -> Any:  # noqa: ANN401
        answer = await asked(case)
        await Desk(stall.books).resolve(1, "reject", actor="cli:ann")
        return answer

    evidence._look_up_session = slow  # type: ignore[method-assign]
    assert await evidence.gather(leased) == "changed"
    review, _ = await review_of(stall)
    assert (review.closed_by, review.resolution) == ("cli:ann", "reject")
    assert (await stall.books.order()).state == "pending"


async def test_a_worker_that_dies_as_it_decides_leaves_the_review_to_the_next(
    stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lost_payment(stall)

    async def die(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as dying:
        dying.setattr(resolve, "resolve", die)
        with pytest.raises(asyncio.CancelledError):
            await gather(stall, policy=ReviewPolicy.ACT)
    assert await gather(stall, policy=ReviewPolicy.ACT) == []
    async with connected(stall.books.pool) as connection:
        (leased,) = await platform_evidence.lease(
            connection, [ENDPOINT], now=datetime.now(UTC) + platform_evidence.LEASE, limit=1
        )
    evidence = Evidence(
        stall.client, terms(stall, ReviewPolicy.ACT), RetryingDatabase(stall.books.pool), lambda: datetime.now(UTC)
    )
    assert await evidence.gather(leased) == "resolved"
    assert await stall.books.moves() == [("order-1", "pending", "paid")]


async def test_a_missed_webhook_is_suggested_and_never_decided(stall: Stall) -> None:
    await stall.sell()
    await stall.wait()
    await stall.look()
    assert await gather(stall, policy=ReviewPolicy.ACT) == ["suggested"]
    review, _ = await review_of(stall)
    assert review.suggested is not None
    assert review.suggested["resolution"] == "accept-session"
    assert (await stall.books.order()).state == "pending"


async def test_an_outage_of_the_platform_is_no_question(stall: Stall) -> None:
    await lost_payment(stall)
    stall.sandbox.switch(Fault.RATE_LIMIT, seconds=60)
    with pytest.raises(PlatformAway):
        await gather(stall)
    assert (await review_of(stall))[0].version == 1


async def test_a_role_with_nobody_to_ask_leaves_the_notices_and_goes_on_until_stopped(
    bench: Bench, stall: Stall
) -> None:
    idle = Reviews(
        bench.amqp_url,
        books=RetryingDatabase(stall.books.pool),
        accesses={},
        terms=terms(stall),
        metrics=ReviewMetrics(new_registry()),
    )
    await lost_payment(stall)
    stop = asyncio.Event()
    async with bench.running(bench.outbox()):
        running = asyncio.create_task(idle.run(stop))
        await until(lambda: bench.holds("kessai.reviews.unknown", 1))
        assert not running.done()
        stop.set()
        await running


async def test_a_worker_gives_back_what_it_could_not_ask(bench: Bench, stall: Stall) -> None:
    await lost_payment(stall)
    stall.sandbox.switch(Fault.RATE_LIMIT, seconds=120)
    async with bench.running(role(bench, stall)):
        await until(lambda: _is_put_off(stall))
    stall.sandbox.faults.clear()
    await stall.books.rows("UPDATE kessai.reviews SET ask_at = now()")
    async with bench.running(role(bench, stall)):
        await until(lambda: _asked_all(stall))
    assert await stall.books.value("SELECT asks FROM kessai.reviews") == 1


async def mismatches(stall: Stall, count: int) -> list[str]:
    """Reviews of so many payments, each of its own session."""
    sessions = [await stall.sell(f"order-{number}", drop=False) for number in range(1, count + 1)]
    await stall.books.rows("UPDATE kessai.orders SET amount_minor = 1300")
    await stall.hear()
    return sessions


def counted(registry: CollectorRegistry, outcome: str) -> float | None:
    return registry.get_sample_value("kessai_review_evidence_total", {"endpoint": ENDPOINT, "outcome": outcome})


async def test_one_session_that_fails_keeps_no_other_review_waiting(
    bench: Bench, stall: Stall, answers: Answers
) -> None:
    bad, *_ = await mismatches(stall, 3)
    answers[bad] = refused(500)
    registry = new_registry()
    reviews_role = role(bench, stall, registry=registry)
    async with bench.running(reviews_role):
        await until(lambda: _asked_but_one(stall), within=10)
        await until(lambda: _is_counted(registry, "attached", 2))
        assert f"siglume of {ENDPOINT}" not in reviews_role.readiness().degraded
    assert counted(registry, "away") == 1
    kept = await stall.books.row("SELECT asks, ask_at > now() AS is_later FROM kessai.reviews WHERE platform IS NULL")
    assert (kept["asks"], kept["is_later"]) == (0, True)


@pytest.mark.parametrize(("status", "asked"), [(500, 2), (401, 1)])
async def test_a_platform_that_is_away_is_told_and_left_alone(
    bench: Bench, stall: Stall, answers: Answers, status: int, asked: int
) -> None:
    """For a second review, or by an answer to the caller."""
    answers |= dict.fromkeys(await mismatches(stall, 3), refused(status))
    registry = new_registry()
    reviews_role = role(bench, stall, registry=registry)
    async with bench.running(reviews_role):
        await until(lambda: _is_counted(registry, "away", asked))
        await asyncio.sleep(0.3)
        assert str(status) in reviews_role.readiness().degraded[f"siglume of {ENDPOINT}"]
        assert not reviews_role.readiness().failing
    assert counted(registry, "away") == asked


async def _is_counted(registry: CollectorRegistry, outcome: str, count: int) -> bool:
    return counted(registry, outcome) == count


async def test_a_fault_of_ours_at_one_review_ends_no_worker(
    bench: Bench, stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await stall.books.apply(payment(f"evt-{number}", f"order-{number}", merchant="sandbox_merchant"))
    gather_, lease_ = Evidence.gather, platform_evidence.lease
    faults = ["the lease"]

    async def gather_but_one(evidence: Evidence, leased: Leased) -> str:
        if leased.review_id == 1:
            raise OverflowError
        return await gather_(evidence, leased)

    async def lease_but_once(*given: Any, **named: Any) -> list[Leased]:  # noqa: ANN401
        if faults:
            raise OverflowError(faults.pop())
        return await lease_(*given, **named)

    monkeypatch.setattr(Evidence, "gather", gather_but_one)
    monkeypatch.setattr(platform_evidence, "lease", lease_but_once)
    async with bench.running(role(bench, stall)):
        await until(lambda: _asked_but_one(stall))
    assert await stall.books.value("SELECT asks FROM kessai.reviews WHERE review_id = 1") == 1
    assert await stall.books.value("SELECT ask_at > now() FROM kessai.reviews WHERE review_id = 1")


async def _asked_but_one(stall: Stall) -> bool:
    return bool(await stall.books.value("SELECT count(*) = 2 FROM kessai.reviews WHERE platform IS NOT NULL"))


async def _is_put_off(stall: Stall) -> bool:
    """The question is not counted, and comes later."""
    return bool(await stall.books.value("SELECT asks = 0 AND ask_at > now() + interval '55 s' FROM kessai.reviews"))


async def test_a_review_that_nothing_leads_to_is_asked_about_ever_more_rarely_and_then_no_more(stall: Stall) -> None:
    await stall.books.apply(payment("evt-9", "order-9", merchant="sandbox_merchant"))
    asked = 0
    while await gather(stall) == ["attached"]:
        asked += 1
        await stall.books.rows("UPDATE kessai.reviews SET ask_at = now() WHERE ask_at < 'infinity'")
    assert asked == platform_evidence.ASKS
    _, evidence = await review_of(stall)
    told = platform_says(evidence)
    assert told is not None
    assert told.nothing == "nothing of ours leads to it"


async def test_workers_share_the_reviews_and_nothing_happens_twice(bench: Bench, stall: Stall) -> None:
    """Of two workers over RabbitMQ; half of the notices are dropped, and the books are looked at all the same."""
    orders = [f"order-{number:02}" for number in range(20)]
    for number, order_id in enumerate(orders):
        await stall.sell(order_id, 1200 + number, drop=False)
    await lose_challenge(stall)
    await stall.hear()
    assert await stall.books.value("SELECT count(*) FROM kessai.reviews WHERE reason = 'unknown_challenge_hash'") == 20
    await stall.books.rows("UPDATE kessai.outbox SET published_at = now() WHERE outbox_id % 2 = 0")
    workers = [role(bench, stall, ReviewPolicy.ACT) for _ in range(2)]
    async with bench.running(bench.outbox(), *workers):
        await until(lambda: _asked_all(stall))
    assert await bench.depth("kessai.reviews.unknown") == 0
    resolved = [act for who, act, _ in await stall.books.acts() if who == "worker:reviews"]
    assert resolved == ["review.resolved"] * 20
    assert sorted(order for order, _, _ in await stall.books.moves()) == orders


async def _asked_all(stall: Stall) -> bool:
    return not await stall.books.value("SELECT count(*) FROM kessai.reviews WHERE state = 'open' AND platform IS NULL")


async def test_a_notice_wakes_the_worker(bench: Bench, stall: Stall) -> None:
    idle_for_long = role(bench, stall)
    idle_for_long._idle = 3600.0
    async with bench.running(bench.outbox(), idle_for_long):
        await asyncio.sleep(0.5)
        await stall.books.apply(usage("evt-1", "order-9", merchant="sandbox_merchant"))
        await until(lambda: _asked_all(stall), within=10)
