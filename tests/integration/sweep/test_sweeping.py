"""A webhook that never came is found: asked for, not guessed, and never counted twice."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from deploy.sandbox.core.faults import Fault
from shared.broker.envelope import Failure
from shared.ledger import dead_letters, orders, sweeps
from shared.ledger.checkout_states import Step
from shared.ledger.checkouts import PaymentUnderway
from shared.ledger.database import connected
from shared.ledger.hosted_sessions import StatedSession
from shared.ledger.orders import NewOrder
from shared.ledger.revenue import comparing
from shared.ledger.sweep_rules import SILENCES, SILENCES_WHEN_PAID, SweepPolicy
from shared.ledger.timeline import timeline
from shared.observe.metrics import new_registry
from shared.sdrp.api.checkout import CheckoutSession
from shared.sdrp.api.errors import SiglumeApiError, Unreachable, UnusableAnswer
from tests.given import ENDPOINT, envelope
from tests.integration.ledger.desk import Desk
from tests.integration.revenue.accounts import Accounts
from tests.integration.sweep.stall import AFTER, Answers, Stall, refused
from tests.integration.workers.bench import Bench, until
from tests.integration.workers.test_facts import problems
from workers.platform_sessions import PlatformAway
from workers.reconcile.sweep import TURN
from workers.reconcile.sweep_role import Sweep


async def test_a_dropped_webhook_becomes_a_review_with_both_sides(stall: Stall) -> None:
    session_id = await stall.sell()
    await stall.wait()
    assert await stall.found() == [("order-1", "missed webhook")]
    assert await stall.reviews() == [("order-1", "missed_webhook", "open")]
    review = await stall.books.row("SELECT * FROM kessai.reviews")
    evidence = orjson.loads(review["evidence"])
    assert (review["queue"], review["about"]) == ("mismatch", f"session:{session_id}")
    assert evidence["session"]["status"] == "paid"
    assert evidence["session"]["challenge_hash"] == evidence["order"]["challenge_hash"]
    assert (await stall.books.order()).state == "pending"
    assert await stall.attempt() == "paid"
    assert await stall.books.told() == [("review.opened", "order-1")]
    assert await stall.found() == []


async def test_a_buyer_who_signed_in_is_waited_for(stall: Stall) -> None:
    session_id = await stall.offer()
    stall.sandbox.sign_in(session_id)
    stall.later = timedelta(minutes=31)
    (look,) = await stall.look()
    assert (look.session_status, look.found) == ("authenticated", "nothing yet")
    assert await stall.attempt() == "open"


async def test_nothing_is_made_of_what_is_fresh(stall: Stall) -> None:
    session_id = await stall.offer()
    assert await stall.found() == []
    await stall.wait(timedelta(minutes=29))
    await stall.sandbox.pay(session_id)
    await stall.wait(timedelta(minutes=2))
    assert await stall.found() == [("order-1", "nothing yet")]
    assert await stall.reviews() == []
    await stall.wait(timedelta(minutes=28))
    assert await stall.found() == [("order-1", "missed webhook")]


async def test_the_review_closes_when_the_webhook_comes_after_all(stall: Stall) -> None:
    session_id = await stall.offer()
    stall.sandbox.switch(Fault.DELAY, seconds=7200)
    await stall.sandbox.pay(session_id)
    stall.sandbox.faults.clear()
    await stall.wait()
    assert await stall.found() == [("order-1", "missed webhook")]
    await stall.wait(timedelta(hours=3))
    assert await stall.hear() == 1
    assert await stall.found() == []
    assert await stall.reviews() == [("order-1", "missed_webhook", "closed")]
    assert (await stall.books.order()).state == "paid"
    assert ("worker:sweep", "review.resolved", "review:1") in await stall.books.acts()


async def test_by_policy_the_order_takes_what_fits_and_the_late_webhook_is_a_duplicate(stall: Stall) -> None:
    stall.policy = SweepPolicy.APPLY
    session_id = await stall.offer()
    stall.sandbox.switch(Fault.DELAY, seconds=7200)
    await stall.sandbox.pay(session_id)
    stall.sandbox.faults.clear()
    await stall.wait()
    assert await stall.found() == [("order-1", "paid")]
    order = await stall.books.order()
    session = await stall.client.get_checkout_session(session_id)
    assert (order.state, order.requirement_id) == ("paid", session.requirement_id)
    assert (order.chain_receipt_id, order.paid_at) == (session.chain_receipt_id, session.paid_at)
    assert await stall.books.moves() == [("order-1", "pending", "paid")]
    await stall.wait(timedelta(hours=3))
    before = await stall.books.everything("orders", "outbox", "reviews")
    assert await stall.hear() == 1
    assert await stall.books.everything("orders", "outbox", "reviews") == before
    assert await stall.books.value("SELECT outcome FROM kessai.webhook_events") == "duplicate"
    assert await stall.books.told() == [("order.paid", "order-1")]
    fact = orjson.loads(await stall.books.value("SELECT body FROM kessai.outbox"))
    assert (fact["event_id"], problems(fact, of="order.paid")) == (None, [])
    async with connected(stall.books.pool) as connection:
        told = [(step.what, step.who) for step in await timeline(connection, "order-1")]
    assert ("order.moved", "worker:sweep") in told


@pytest.mark.parametrize("amount_minor", [200, 20])
async def test_micro_and_nano_are_never_taken_from_a_session(stall: Stall, amount_minor: int) -> None:
    stall.policy = SweepPolicy.APPLY
    await stall.sell(amount_minor=amount_minor)
    await stall.wait()
    (look,) = await stall.look()
    assert (look.found, "pricing_band" in look.unfit) == ("missed webhook", True)
    assert (await stall.books.order()).state == "pending"


@pytest.mark.parametrize(
    ("change", "unfit"),
    [
        ("UPDATE kessai.orders SET amount_minor = 1300", ("amount_minor",)),
        ("UPDATE kessai.orders SET currency = 'USD'", ("currency",)),
        ("UPDATE kessai.checkout_attempts SET challenge_hash = 'sha256:other'", ("challenge_hash",)),
    ],
)
async def test_what_does_not_fit_is_a_review_whatever_the_policy(
    stall: Stall, change: str, unfit: tuple[str, ...]
) -> None:
    stall.policy = SweepPolicy.APPLY
    await stall.sell()
    await stall.books.rows(change)
    await stall.wait()
    (look,) = await stall.look()
    assert (look.found, look.unfit) == ("missed webhook", unfit)
    refused = pytest.raises(Exception, match="cannot take it")
    with refused:
        await Desk(stall.books).resolve(1, "accept-session")
    assert (await stall.books.order()).state == "pending"


async def test_a_payment_for_a_cancelled_order_is_found_and_never_taken(stall: Stall) -> None:
    stall.policy = SweepPolicy.APPLY
    await stall.offer()
    await stall.books.cancel("order-1")
    (session,) = stall.sandbox.platform.checkout.every()
    stall.sandbox.switch(Fault.DROP)
    await stall.sandbox.pay(session.id)
    await stall.wait()
    assert await stall.found() == [("order-1", "missed webhook")]
    assert (await stall.books.order()).state == "cancelled"
    with pytest.raises(Exception, match="paid_after_close"):
        await Desk(stall.books).resolve(1, "accept-session")
    done = await Desk(stall.books).resolve(1, "reject", why="sent back")
    assert (done.done, done.order_state) == ("closed", None)


async def test_a_person_takes_the_payment(stall: Stall) -> None:
    await stall.sell()
    await stall.wait()
    await stall.look()
    done = await Desk(stall.books).resolve(1, "accept-session")
    assert (done.order_id, done.order_state, done.outcome) == ("order-1", "paid", None)
    assert await stall.books.moves() == [("order-1", "pending", "paid")]
    assert await stall.books.told() == [("review.opened", "order-1"), ("order.paid", "order-1")]


async def test_two_must_agree_where_two_are_asked_for(stall: Stall) -> None:
    await stall.sell()
    await stall.wait()
    await stall.look()
    desk = Desk(stall.books)
    assert (await desk.resolve(1, "accept-session", approvals=2)).done == "proposed"
    assert (await stall.books.order()).state == "pending"
    assert (await desk.approve(1, actor="cli:bob")).order_state == "paid"


async def test_what_a_person_rejected_is_not_asked_again(stall: Stall) -> None:
    await stall.sell()
    await stall.wait()
    await stall.look()
    await Desk(stall.books).resolve(1, "reject")
    await stall.books.rows("UPDATE kessai.checkout_attempts SET look_at = '-infinity'")
    assert await stall.found() == [("order-1", "known")]
    assert await stall.reviews() == [("order-1", "missed_webhook", "closed")]


async def test_a_payment_that_a_person_rejected_holds_its_order_no_longer(stall: Stall) -> None:
    """Until then it does: nobody pays twice while somebody may still find the money."""
    await stall.sell()
    await stall.wait()
    await stall.look()
    with pytest.raises(PaymentUnderway, match="a review of it"):
        await stall.start()
    with pytest.raises(PaymentUnderway):
        await stall.challenge()
    await Desk(stall.books).resolve(1, "reject", why="sent back")
    assert await stall.start() == (Step.BEGIN, 2)
    assert [
        row["state"] for row in await stall.books.rows("SELECT state FROM kessai.checkout_attempts ORDER BY attempt")
    ] == [
        "paid",
        "creating",
    ]
    assert await stall.challenge() == 2


async def test_a_webhook_that_comes_for_a_rejected_payment_moves_nothing_by_itself(stall: Stall) -> None:
    """The money may have been sent back."""
    session_id = await stall.offer()
    stall.sandbox.switch(Fault.DELAY, seconds=7200)
    await stall.sandbox.pay(session_id)
    stall.sandbox.faults.clear()
    await stall.wait()
    await stall.look()
    desk = Desk(stall.books)
    await desk.resolve(1, "reject", why="sent back")
    await stall.wait(timedelta(hours=3))
    assert await stall.hear() == 1
    assert (await stall.books.order()).state == "pending"
    assert (await stall.reviews())[-1] == ("order-1", "rejected_payment", "open")
    assert (await desk.resolve(2, "reprocess")).done == "unchanged"
    with pytest.raises(PaymentUnderway):
        await stall.start()
    assert (await desk.resolve(2, "accept-mismatch", why="it was not sent back")).order_state == "paid"


async def test_a_payment_of_which_the_platform_tells_no_more_is_for_a_person(stall: Stall) -> None:
    """Seen once, it is not forgotten: its order would wait for ever."""
    session_id = await stall.offer()
    await stall.wait(timedelta(minutes=29))
    stall.sandbox.switch(Fault.DROP)
    await stall.sandbox.pay(session_id)
    stall.sandbox.faults.clear()
    await stall.wait(timedelta(minutes=2))
    assert await stall.found() == [("order-1", "nothing yet")]
    assert await stall.attempt() == "paid"
    await stall.books.rows("UPDATE kessai.checkout_attempts SET session_id = 'chk_forgotten'")
    looks = []
    for _ in range(SILENCES_WHEN_PAID + 1):
        await stall.wait(timedelta(hours=2))
        looks += await stall.found()
    assert looks == [*[("order-1", "nothing yet")] * SILENCES_WHEN_PAID, ("order-1", "missed webhook")]
    assert await stall.reviews() == [("order-1", "missed_webhook", "open")]
    evidence = orjson.loads(await stall.books.value("SELECT evidence FROM kessai.reviews"))
    assert evidence["session"]["status"] == "untold"
    with pytest.raises(Exception, match="cannot take it, for its status"):
        await Desk(stall.books).resolve(1, "accept-session")
    await Desk(stall.books).resolve(1, "reject", why="the buyer has the money back")
    assert await stall.start() == (Step.BEGIN, 2)


async def test_a_discarded_dead_letter_is_a_missing_webhook_again(stall: Stall) -> None:
    await stall.sell()
    await stall.books.rows(
        """
        INSERT INTO kessai.dead_letters (receipt_id, reason, error, detail, endpoint, attempts, received_at, raw,
                                         signature, key_fingerprint, challenge_hash)
        SELECT gen_random_uuid(), 'unexpected', 'KeyError', '', 'siglume', 1, now(), '', '', '', challenge_hash
        FROM kessai.checkout_attempts
        """
    )
    await stall.wait()
    assert await stall.found() == [("order-1", "nothing yet")]
    await stall.books.rows("UPDATE kessai.dead_letters SET state = 'discarded'")
    await stall.wait(timedelta(days=8))
    assert await stall.found() == [("order-1", "missed webhook")]


async def test_a_payment_of_which_more_is_to_be_decided_still_holds_its_order(stall: Stall) -> None:
    """Its webhook came as well, and does not fit."""
    stall.sandbox.switch(Fault.DELAY, seconds=7200)
    session_id = await stall.offer()
    await stall.sandbox.pay(session_id)
    stall.sandbox.faults.clear()
    await stall.wait()
    await stall.look()
    await stall.books.rows("UPDATE kessai.orders SET amount_minor = 1300")
    await stall.wait(timedelta(hours=3))
    await stall.hear()
    await stall.look()
    assert await stall.reviews() == [
        ("order-1", "missed_webhook", "closed"),
        ("order-1", "amount_mismatch", "open"),
    ]
    with pytest.raises(PaymentUnderway):
        await stall.start()
    await Desk(stall.books).resolve(2, "reject")
    assert await stall.start() == (Step.BEGIN, 2)


async def test_sessions_that_are_over_close_their_attempt_and_leave_the_order_pending(stall: Stall) -> None:
    await stall.offer("order-1")
    turned_back, failed = await stall.offer("order-2"), await stall.offer("order-3")
    stall.sandbox.cancel(turned_back)
    stall.sandbox.switch(Fault.PAYMENT_FAILS)
    await stall.sandbox.pay(failed)
    stall.sandbox.faults.clear()
    await stall.wait()
    assert sorted(await stall.found()) == [("order-1", "expired"), ("order-2", "cancelled"), ("order-3", "failed")]
    assert [await stall.attempt(f"order-{n}") for n in (1, 2, 3)] == ["expired", "cancelled", "failed"]
    assert {(await stall.books.order(f"order-{n}")).state for n in (1, 2, 3)} == {"pending"}
    assert await stall.found() == []


async def test_an_open_session_is_asked_again_after_growing_pauses(stall: Stall) -> None:
    await stall.offer()
    stall.later = timedelta(minutes=31)  # our clock; on the platform's the session is open still
    pauses = []
    for _ in range(4):
        (look,) = await stall.look()
        assert look.look_again_at is not None
        pauses.append((look.look_again_at - stall.now()).total_seconds() / 60)
        assert await stall.look() == []
        stall.later = look.look_again_at - stall.sandbox.now
    assert pauses == [10, 20, 40, 80]


async def test_a_session_that_the_platform_does_not_know_is_noted(stall: Stall) -> None:
    await stall.offer()
    await stall.books.rows("UPDATE kessai.checkout_attempts SET session_id = 'chk_nobody_knows'")
    stall.later = timedelta(minutes=31)
    await stall.books.rows("UPDATE kessai.checkout_attempts SET trusted_until = now() + interval '1 day'")
    assert await stall.found() == [("order-1", "nothing yet")]  # a wrong address may say so, too: it can be paid still
    stall.later = timedelta(days=2)
    assert await stall.found() == [("order-1", "unknown to Siglume")]
    assert await stall.attempt() == "expired"
    assert "chk_nobody_knows" in await stall.books.value("SELECT body FROM kessai.notes WHERE thing = 'order'")


async def test_a_session_that_the_platform_will_not_tell_of_ends_when_its_time_is_over(stall: Stall) -> None:
    """And holds up no others meanwhile: the answer may be about this one alone."""
    await stall.offer("order-1")
    stall.sandbox.switch(Fault.CHECKOUT_DISABLED)
    stall.later = AFTER + timedelta(minutes=1)
    looks = []
    for _ in range(SILENCES + 1):
        (look,) = await stall.look()
        looks.append(look)
        stall.later = (look.look_again_at or stall.now()) - stall.sandbox.now
    assert [("not enabled" in look.found, look.look_again_at is None) for look in looks[:-1]] == [
        (True, False)
    ] * SILENCES
    assert (looks[-1].found, looks[-1].look_again_at) == ("expired", None)
    assert await stall.attempt() == "expired"
    assert "HOSTED_CHECKOUT" in await stall.books.value("SELECT body FROM kessai.notes WHERE thing = 'order'")
    stall.sandbox.faults.clear()
    (session,) = stall.sandbox.platform.checkout.every()
    await stall.sandbox.pay(session.id)
    assert await stall.hear() == 1
    assert (await stall.books.order()).state == "paid"  # money first


async def test_an_order_that_has_its_money_costs_no_call(stall: Stall) -> None:
    for number in range(3):
        await stall.sell(f"order-{number}", drop=False)
    await stall.hear()
    await stall.wait()
    stall.sandbox.switch(Fault.SERVER_ERROR)
    assert await stall.found() == []
    assert await stall.books.value("SELECT count(*) FROM kessai.checkout_attempts WHERE look_at = 'infinity'") == 3


async def test_a_webhook_in_a_review_is_no_missing_one(stall: Stall) -> None:
    await stall.sell(drop=False)
    await stall.books.rows("UPDATE kessai.orders SET amount_minor = 1300")
    await stall.hear()
    await stall.wait()
    assert await stall.found() == [("order-1", "known")]
    assert await stall.reviews() == [("order-1", "amount_mismatch", "open")]


async def test_a_copy_at_another_endpoint_is_not_the_missing_webhook(stall: Stall) -> None:
    """Neither as it comes, nor as a person rejects it there: the money is still on its way to the order."""
    await stall.sell(drop=False)
    assert await stall.hear(endpoint="old_address") == 1
    await stall.wait()
    assert await stall.found() == [("order-1", "missed webhook")]
    desk = Desk(stall.books)
    await desk.resolve(1, "reject", why="a copy at the old address")
    assert await stall.found() == []
    assert await stall.reviews() == [
        ("order-1", "merchant_mismatch", "closed"),
        ("order-1", "missed_webhook", "open"),
    ]
    await stall.books.rows("UPDATE kessai.reviews SET state = 'closed' WHERE review_id = 2")  # nothing left to decide
    with pytest.raises(PaymentUnderway):
        await stall.start()


async def test_an_order_that_a_copy_at_another_endpoint_has_paid_waits_for_no_webhook(stall: Stall) -> None:
    await stall.sell(drop=False)
    await stall.hear(endpoint="old_address")
    await stall.wait()
    await stall.look()
    assert (await Desk(stall.books).resolve(1, "accept-mismatch")).order_state == "paid"
    assert await stall.found() == []
    assert await stall.reviews() == [
        ("order-1", "merchant_mismatch", "closed"),
        ("order-1", "missed_webhook", "closed"),
    ]


async def contradict(stall: Stall) -> None:
    """Take in the webhook after other bytes under its event id, which lacked a field."""
    (webhook,) = stall.receiver.confirmed()
    incomplete = orjson.loads(webhook.raw)
    del incomplete["data"]["settlement_status"]
    await stall.books.apply(orjson.dumps(incomplete))
    await stall.hear()
    await stall.wait()


async def test_bytes_that_contradict_earlier_ones_are_not_the_missing_webhook(stall: Stall) -> None:
    """Rejecting both of them does not say that the money was sent back."""
    await stall.sell(drop=False)
    await contradict(stall)
    assert await stall.found() == [("order-1", "missed webhook")]
    desk = Desk(stall.books)
    for review_id in (1, 2):
        await desk.resolve(review_id, "reject", why="nobody knows what it says")
    await stall.books.rows("UPDATE kessai.reviews SET state = 'closed' WHERE review_id = 3")  # nothing left to decide
    with pytest.raises(PaymentUnderway):
        await stall.start()
    await stall.books.rows("UPDATE kessai.reviews SET state = 'open' WHERE review_id = 3")
    assert (await desk.resolve(3, "accept-session")).order_state == "paid"


async def test_a_payment_that_its_contradicted_event_has_paid_is_missed_no_more(stall: Stall) -> None:
    await stall.sell(drop=False)
    await contradict(stall)
    assert await stall.found() == [("order-1", "missed webhook")]
    assert (await Desk(stall.books).resolve(2, "reprocess")).order_state == "paid"
    assert await stall.found() == []
    assert (await stall.reviews())[1:] == [
        ("order-1", "event_id_conflict", "closed"),
        ("order-1", "missed_webhook", "closed"),
    ]


async def test_a_dead_letter_of_another_endpoint_holds_up_no_look(stall: Stall) -> None:
    await stall.sell(drop=False)
    (webhook,) = stall.receiver.confirmed()
    async with connected(stall.books.pool) as connection:
        letter = envelope(webhook.raw, endpoint="old_address")
        await dead_letters.archive(connection, [(letter, Failure("unknown_endpoint", "", ""))])
    await stall.wait()
    assert await stall.found() == [("order-1", "missed webhook")]


async def test_a_webhook_that_comes_during_the_look_wins(stall: Stall) -> None:
    """The platform was asked, and the event committed before what it said was written."""
    stall.policy = SweepPolicy.APPLY
    session_id = await stall.sell(drop=False)
    await stall.wait()
    async with connected(stall.books.pool) as connection:
        (due,) = await sweeps.due(connection, ENDPOINT, now=stall.now(), after=stall.terms.after, limit=9)
    session = await stall.client.get_checkout_session(session_id)
    await stall.hear()
    async with connected(stall.books.pool) as connection:
        finding = await sweeps.settle(connection, due, StatedSession.of(session), stall.terms, now=stall.now())
        assert type(finding).__name__ == "Heard"
        assert await sweeps.settle(connection, due, StatedSession.of(session), stall.terms, now=stall.now()) is None
    assert await stall.books.moves() == [("order-1", "pending", "paid")]
    assert await stall.reviews() == []


async def test_a_platform_that_is_away_ends_the_turn_and_is_asked_ever_more_rarely(stall: Stall) -> None:
    for number in range(3):
        await stall.sell(f"order-{number}")
    await stall.wait()
    stall.sandbox.switch(Fault.RATE_LIMIT, seconds=1)
    swept, stop = stall.swept(), asyncio.Event()
    with pytest.raises(PlatformAway):
        await swept.turn(stop)
    waits = await stall.books.row("SELECT next_turn_at, failures FROM kessai.sweeps")
    assert (waits["failures"], waits["next_turn_at"] - stall.now()) == (1, timedelta(seconds=60))
    assert await swept.turn(stop) is None
    stall.later = timedelta(seconds=61)
    with pytest.raises(PlatformAway):
        await swept.turn(stop)
    waits = await stall.books.row("SELECT next_turn_at, failures FROM kessai.sweeps")
    assert (waits["failures"], waits["next_turn_at"] - stall.now()) == (2, timedelta(seconds=120))
    stall.sandbox.faults.clear()
    stall.later = timedelta(minutes=12)  # those that were asked about are put off
    assert len(await stall.look()) == 3
    assert await stall.books.value("SELECT failures FROM kessai.sweeps") == 0


@pytest.mark.parametrize("error", [refused(500), refused(403), Unreachable("no answer", retryable=True)])
async def test_one_session_that_answers_badly_keeps_nobody_from_being_looked_at(
    stall: Stall, answers: Answers, error: SiglumeApiError
) -> None:
    bad = await stall.sell("order-1")
    await stall.sell("order-2")
    await stall.wait()
    answers[bad] = error
    assert await stall.found() == [("order-2", "missed webhook"), ("order-1", str(error))]
    kept = await stall.books.row(
        "SELECT looks, unsaid, look_at FROM kessai.checkout_attempts WHERE order_id = 'order-1'"
    )
    assert (kept["looks"], kept["unsaid"]) == (0, 1)
    assert kept["look_at"] - stall.now() > timedelta(minutes=9)
    assert await stall.books.value("SELECT failures FROM kessai.sweeps") == 0
    await stall.sell("order-3")
    await stall.wait()
    assert await stall.found() == [("order-3", "missed webhook"), ("order-1", str(error))]
    answers.clear()
    await stall.wait()
    assert await stall.found() == [("order-1", "missed webhook")]


async def test_the_platform_is_away_when_it_fails_for_a_second_session(stall: Stall, answers: Answers) -> None:
    first, second, third, _ = [await stall.sell(f"order-{number}") for number in range(4)]
    await stall.wait()
    answers |= {session_id: refused(500) for session_id in (first, second, third)}
    with pytest.raises(PlatformAway, match=second):
        await stall.look()
    assert await stall.reviews() == []
    assert await stall.found() == [("order-3", "missed webhook"), ("order-2", "refused with 500")]
    await stall.wait()
    await stall.sell("order-4")
    await stall.wait()
    with pytest.raises(PlatformAway, match=second):
        await stall.look()
    assert await stall.reviews() == [(f"order-{number}", "missed_webhook", "open") for number in (3, 4)]


@pytest.mark.parametrize("status", [401, 429])
async def test_what_is_said_to_the_caller_is_said_of_every_session(stall: Stall, answers: Answers, status: int) -> None:
    sessions = [await stall.sell(f"order-{number}") for number in range(2)]
    await stall.wait()
    answers |= {session_id: refused(status) for session_id in sessions}
    with pytest.raises(PlatformAway, match=sessions[0]):
        await stall.look()


async def test_a_worker_names_the_session_that_failed_and_goes_on(stall: Stall, answers: Answers) -> None:
    faulty, refusing, _ = [await stall.sell(f"order-{number}") for number in range(3)]
    await stall.wait()
    answers |= {faulty: OverflowError("date value out of range"), refusing: refused(500)}
    registry = new_registry()
    sweep, stop = stall.sweep(registry=registry), asyncio.Event()
    running = asyncio.create_task(sweep.run(stop))
    await until(lambda: _is_told(sweep, 2))
    assert not running.done()
    stop.set()
    await running
    assert sweep.readiness().degraded == {
        f"session {faulty}": "a fault of Kessai: OverflowError",
        f"session {refusing}": "refused with 500",
    }
    counted = {
        result: registry.get_sample_value("kessai_sweep_looks_total", {"endpoint": ENDPOINT, "found": result})
        for result in ("unsaid", "missed", "paid")
    }
    assert counted == {"unsaid": 2, "missed": 1, "paid": 0}
    assert await stall.reviews() == [("order-2", "missed_webhook", "open")]


async def _is_told(sweep: Sweep, count: int) -> bool:
    return len(sweep.readiness().degraded) == count


async def test_a_fault_of_ours_beside_the_looks_ends_no_worker(stall: Stall, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OverflowError

    monkeypatch.setattr(sweeps, "due", fail)
    sweep, stop = stall.sweep(), asyncio.Event()
    running = asyncio.create_task(sweep.run(stop))
    await until(lambda: _is_told(sweep, 1))
    assert not running.done()
    stop.set()
    await running


async def test_a_payment_of_the_far_future_is_one_of_unknown_time(
    stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stall.sell()
    await stall.wait()
    ask = stall.client.get_checkout_session

    async def answer(session_id: str) -> CheckoutSession:
        return replace(await ask(session_id), paid_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))

    monkeypatch.setattr(stall.client, "get_checkout_session", answer)
    assert await stall.found() == [("order-1", "nothing yet")]
    await stall.wait()
    assert await stall.found() == [("order-1", "missed webhook")]
    review = await stall.books.row("SELECT about_at, evidence FROM kessai.reviews")
    assert (review["about_at"], orjson.loads(review["evidence"])["session"]["paid_at"]) == (stall.now(), None)
    await Desk(stall.books).resolve(1, "accept-session")
    paid_at = (await stall.books.order()).paid_at
    assert paid_at is not None
    assert paid_at < stall.now() + timedelta(days=1)


async def test_one_of_which_nothing_can_be_made_holds_nobody_up(stall: Stall, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = await stall.sell("order-1")
    await stall.sell("order-2")
    strange = await stall.sell("order-3")
    await stall.wait()
    ask = stall.client.get_checkout_session

    async def answer(session_id: str) -> CheckoutSession:
        if session_id == bad:
            raise UnusableAnswer("its amount is no number", status=200)
        session = await ask(session_id)
        return replace(session, finality="\0") if session_id == strange else session

    monkeypatch.setattr(stall.client, "get_checkout_session", answer)
    found = dict(await stall.found())
    assert (found["order-1"], found["order-2"]) == ("its amount is no number", "missed webhook")
    assert "order-3" in found
    assert await stall.found() == []
    assert await stall.reviews() == [("order-2", "missed_webhook", "open")]


async def test_a_minute_has_so_many_looks_and_one_sweep(stall: Stall) -> None:
    await stall.sell("order-1")
    await stall.sell("order-2")
    await stall.wait()
    both = [stall.swept(), stall.swept()]
    for swept in both:
        swept._per_minute = 1
    first, second = [await swept.turn(asyncio.Event()) for swept in both]
    assert ([look.order_id for look in first or []], second) == (["order-1"], None)
    stall.later = TURN
    assert [look.order_id for look in await both[1].turn(asyncio.Event()) or []] == ["order-2"]


async def test_a_hundred_orders_are_each_paid_once_by_sweeps_and_webhooks_at_once(bench: Bench, stall: Stall) -> None:
    """Some webhooks are lost, some late; sweeps and workers run side by side, through RabbitMQ."""
    stall.policy = SweepPolicy.APPLY
    orders_ = [f"order-{number:03}" for number in range(100)]
    sessions = [await stall.offer(order_id) for order_id in orders_]
    stall.sandbox.switch(Fault.DROP, 0.3)
    stall.sandbox.switch(Fault.DELAY, 0.5, seconds=1800)
    for session_id in sessions:
        await stall.sandbox.pay(session_id, wait=False)
    await stall.sandbox.idle()
    stall.sandbox.faults.clear()
    await stall.wait()
    received = stall.receiver.confirmed()
    assert 40 < len(received) < 95
    sent = [envelope(each.raw) for each in received] * 2
    async with bench.running(bench.confirmations(), stall.sweep(), stall.sweep(), stall.sweep(), bench.outbox()):
        await bench.send(*sent)
        await until(lambda: _all_paid(stall, len(orders_)))
        await until(lambda: bench.holds("kessai.confirmations", 0))
    assert sorted(order for order, _, _ in await stall.books.moves()) == orders_
    assert sorted(subject for name, subject in await stall.books.told() if name == "order.paid") == orders_
    assert await stall.reviews() == []


async def _all_paid(stall: Stall, count: int) -> bool:
    return bool(await stall.books.value("SELECT count(*) = $1 FROM kessai.orders WHERE state = 'paid'", count))


async def test_one_requirement_pays_one_order_whoever_counts_it(stall: Stall) -> None:
    stall.policy = SweepPolicy.APPLY
    session_id = await stall.sell()
    requirement_id = (await stall.client.get_checkout_session(session_id)).requirement_id
    await stall.books.rows(
        "INSERT INTO kessai.audit (actor, action, subject, endpoint, from_state, to_state, requirement_id) "
        "VALUES ('test', 'order.moved', 'order-9', $1, 'pending', 'paid', $2)",
        ENDPOINT,
        requirement_id,
    )
    await stall.wait()
    assert await stall.found() == [("order-1", "missed webhook")]
    with pytest.raises(Exception, match="has paid order 'order-9' already"):
        await Desk(stall.books).resolve(1, "accept-session")


async def test_a_comparison_of_statements_leaves_the_review_alone(stall: Stall) -> None:
    await stall.sell()
    await stall.wait()
    await stall.look()
    accounts = Accounts(stall.books)
    await accounts.sync([], [], at=stall.now() + timedelta(hours=5))
    async with connected(stall.books.pool) as connection:
        await comparing.compare(connection, ENDPOINT, now=stall.now() + timedelta(hours=5))
    assert await stall.reviews() == [("order-1", "missed_webhook", "open")]


async def test_an_order_without_a_session_is_nobodys_business(stall: Stall) -> None:
    async with connected(stall.books.pool) as connection:
        await orders.register(connection, [NewOrder("order-9", 1200, "JPY", ENDPOINT)], actor="test", now=stall.now())
    await stall.wait(timedelta(days=3))
    assert await stall.found() == []
