"""Micro and nano payments: from the period that holds them to the batch that pays for them."""

from datetime import timedelta
from decimal import Decimal

import pytest

from deploy.sandbox.core.batches import ATTEMPT_AFTER, RETRIES, RETRY_EVERY, BatchStatus, Trigger
from deploy.sandbox.core.faults import Fault, Setting
from deploy.sandbox.core.payment import PaymentStatus
from deploy.sandbox.core.refusal import Refused
from shared.sdrp.classify import MeteredBatchSettled, MeteredUsageAccepted, StandardSettled, classify
from shared.sdrp.events import CONFIRMED, SPENT, Event
from shared.sdrp.money import Currency
from tests.unit.sandbox.given import Town, totals


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.mark.parametrize(
    ("amount", "currency", "fee", "kind"),
    [
        (501, "JPY", None, StandardSettled),
        (301, "USD", None, StandardSettled),
        (500, "JPY", Decimal(2), MeteredUsageAccepted),
        (50, "JPY", Decimal(2), MeteredUsageAccepted),
        (300, "USD", Decimal(1), MeteredUsageAccepted),
        (31, "USD", Decimal(1), MeteredUsageAccepted),
        (49, "JPY", Decimal("0.2"), MeteredUsageAccepted),
        (30, "USD", Decimal("0.1"), MeteredUsageAccepted),
    ],
)
def test_the_amount_decides_the_band_the_fee_and_the_shape(
    town: Town, amount: int, currency: str, fee: Decimal | None, kind: type
) -> None:
    town.sell(amount, currency)
    confirmed, spent = town.answer()
    assert (confirmed["type"], spent["type"]) == (CONFIRMED, SPENT)
    assert isinstance(classify(Event(**confirmed)), kind)
    (payment,) = town.platform.books().payments
    assert (payment.gross, payment.fee) == (Decimal(amount), fee)


@pytest.mark.parametrize(("amount", "longest"), [(200, timedelta(days=7)), (20, timedelta(days=31))])
def test_a_period_closes_on_its_schedule_and_settles_after_notice_and_three_days(
    town: Town, amount: int, longest: timedelta
) -> None:
    sold_at = town.platform.now
    town.sell(amount)
    town.sell(amount)
    noticed = town.wait_for(BatchStatus.READY)
    assert noticed.trigger is Trigger.SCHEDULED_CLOSE
    assert noticed.closed_at == noticed.period.end <= sold_at + longest
    assert noticed.not_before == noticed.closed_at + ATTEMPT_AFTER
    assert town.wait_for(BatchStatus.SUBMITTED).attempted_at == noticed.not_before
    town.wait(hours=1)
    settled = town.batch
    assert settled.status is BatchStatus.SETTLED
    assert settled.gross == 2 * amount
    assert settled.receivable == settled.gross - settled.fee
    assert totals(town)["settled"] == settled.receivable
    assert totals(town)["unsettled"] == 0


def test_a_settled_batch_is_told_and_names_no_order(town: Town) -> None:
    town.sell(200)
    town.answer()
    town.wait_for(BatchStatus.SUBMITTED)
    until = town.platform.now + timedelta(hours=1)
    town.platform.step_to(until)
    (told,) = town.answer()
    confirmation = classify(Event(**told))
    assert isinstance(confirmation, MeteredBatchSettled)
    assert confirmation.settlement_batch_id == town.batch.id
    assert "challenge_hash" not in told["data"]
    assert told["data"]["provider_receivable_minor"] == "198"


def test_each_buyer_currency_and_band_has_a_batch_of_its_own(town: Town) -> None:
    for buyer in ("ann", "bob"):
        for amount, currency in ((200, "JPY"), (20, "JPY"), (200, "USD")):
            town.sell(amount, currency, buyer=buyer)
    town.wait(days=40)
    assert len({batch.account for batch in town.batches}) == len(town.batches) == 6


def test_the_threshold_closes_a_period_early_and_refuses_more_until_it_is_settled(town: Town) -> None:
    for _ in range(20):
        town.sell(500)
    batch = town.batch
    assert (batch.trigger, batch.gross) == (Trigger.AMOUNT_THRESHOLD, Decimal(10_000))
    assert batch.closed_at == town.platform.now
    session = town.open(amount_minor=500)
    with pytest.raises(Refused) as refused:
        town.platform.checkout.pay(session.id, batch.account.buyer)
    assert refused.value.code == "METERED_SETTLEMENT_PAST_DUE"
    assert len(town.platform.books().payments) == 20
    town.sell(500, buyer="bob")
    town.sell(20, buyer="ann")
    town.sell(1200, buyer="ann")
    town.wait(days=4)
    town.sell(500)


def test_what_is_closed_and_not_settled_counts_towards_the_threshold(town: Town) -> None:
    for _ in range(19):
        town.sell(500)
    town.wait_for(BatchStatus.NOTICE_PENDING)
    town.sell(500)
    with pytest.raises(Refused, match="wait until the buyer's earlier ones are settled"):
        town.sell(500)


def test_a_failed_settlement_is_tried_again_every_six_hours_and_then_stays_past_due(town: Town) -> None:
    town.platform.faults.switch(Fault.SETTLEMENT_FAILS, Setting())
    town.sell(200)
    first = town.wait_for(BatchStatus.FAILED_RETRYABLE)
    again = town.wait_for(BatchStatus.RETRYING)
    assert first.attempted_at is not None
    assert again.attempted_at == first.attempted_at + RETRY_EVERY
    with pytest.raises(Refused):
        town.sell(200)
    past_due = town.wait_for(BatchStatus.PAST_DUE)
    assert past_due.attempts == 1 + RETRIES
    assert past_due.attempted_at == first.attempted_at + RETRIES * RETRY_EVERY
    assert past_due.failure is not None
    assert totals(town) == dict.fromkeys(totals(town), Decimal(0)) | {"past_due": Decimal(198)}
    town.wait(days=400)
    assert town.batch == past_due


@pytest.mark.parametrize("end", ["uncollectible", "written_off"])
def test_an_operator_ends_what_is_past_due_and_the_buyer_may_buy_again(town: Town, end: str) -> None:
    town.platform.faults.switch(Fault.SETTLEMENT_FAILS, Setting())
    town.sell(200)
    batch = town.wait_for(BatchStatus.PAST_DUE)
    town.platform.settlement.give_up(batch.id, BatchStatus(end))
    assert totals(town) == dict.fromkeys(totals(town), Decimal(0)) | {end: Decimal(198)}
    town.sell(200)
    with pytest.raises(Refused, match="stays so"):
        town.platform.settlement.give_up(batch.id, BatchStatus(end))


def test_an_operator_requeues_what_is_past_due(town: Town) -> None:
    town.platform.faults.switch(Fault.SETTLEMENT_FAILS, Setting())
    town.sell(200)
    batch = town.wait_for(BatchStatus.PAST_DUE)
    town.platform.faults.clear()
    town.platform.settlement.requeue(batch.id)
    assert town.wait_for(BatchStatus.SETTLED, within_days=1).receipt_id is not None


def test_a_batch_fails_as_often_as_it_was_told_to(town: Town) -> None:
    town.platform.faults.switch(Fault.SETTLEMENT_FAILS, Setting(times=3))
    town.sell(200)
    assert town.wait_for(BatchStatus.SETTLED).attempts == 4
    assert not town.platform.faults.settings


def test_a_notice_that_fails_delays_the_debit(town: Town) -> None:
    town.platform.faults.switch(Fault.NOTICE_FAILS, Setting(times=20))
    town.sell(200)
    assert town.wait_for(BatchStatus.NOTICE_FAILED).attempts == 0
    ready = town.wait_for(BatchStatus.READY)
    assert ready.noticed_at == ready.not_before > ready.closed_at + ATTEMPT_AFTER


def test_a_refused_settlement_waits_for_an_operator(town: Town) -> None:
    town.platform.faults.switch(Fault.SETTLEMENT_REFUSED, Setting(times=1))
    town.sell(200)
    batch = town.wait_for(BatchStatus.FAILED)
    town.wait(days=60)
    assert town.batch == batch


def test_an_unknown_outcome_is_reconciled_a_day_later(town: Town) -> None:
    town.platform.faults.switch(Fault.SETTLEMENT_UNKNOWN, Setting(times=1))
    town.sell(200)
    unknown = town.wait_for(BatchStatus.RECONCILE)
    assert unknown.receipt_id is None
    settled = town.wait_for(BatchStatus.SETTLED)
    assert (settled.attempts, settled.receipt_id is not None) == (1, True)


def test_a_standard_payment_that_does_not_wait_is_final_by_the_clock(town: Town) -> None:
    payments, session = town.platform.payments, town.open()
    payment = payments.require("usr_ann", session.order, is_ours=True)
    with pytest.raises(Refused) as refused:
        payments.pay(payment, await_finality=False)
    assert refused.value.code == "ALLOWANCE_REQUIRED"
    payments.allow("usr_ann", Currency.JPY)
    assert payments.pay(payment, await_finality=False).settlement_status == "provisional"
    assert not town.answer()
    town.wait(seconds=29)
    assert payments.find(payment.id).status is PaymentStatus.SUBMITTED
    town.wait(seconds=1)
    assert payments.find(payment.id).settlement_status == "settled"


def test_the_books_are_the_sums_of_their_rows_whatever_happened(town: Town) -> None:
    faults = town.platform.faults
    faults.switch(Fault.SETTLEMENT_FAILS, Setting(share=0.9))
    faults.switch(Fault.SETTLEMENT_REFUSED, Setting(share=0.1))
    faults.switch(Fault.NOTICE_FAILS, Setting(share=0.3))
    for day in range(120):
        for buyer in range(5):
            for amount, currency in ((17, "JPY"), (333, "JPY"), (29, "USD"), (299, "USD"), (1200, "JPY")):
                try:
                    town.sell(amount, currency, buyer=f"buyer {buyer}")
                except Refused as refused:
                    assert refused.code == "METERED_SETTLEMENT_PAST_DUE"  # noqa: PT017 - most are sold
        town.wait(days=1)
        stuck = [each for each in town.batches if each.status in (BatchStatus.FAILED, BatchStatus.PAST_DUE)]
        if stuck and day % 7 == 0:
            town.platform.settlement.give_up(stuck[0].id, BatchStatus.UNCOLLECTIBLE)
    books = town.platform.books()
    for currency in Currency:
        found = books.totals[currency]
        assert sum(totals(town, currency).values()) == found.metered_gross - found.metered_fee
        for state, status in (("settled", BatchStatus.SETTLED), ("uncollectible", BatchStatus.UNCOLLECTIBLE)):
            theirs = [batch for batch in books.batches if (batch.currency, batch.status) == (currency, status)]
            assert getattr(found, state) == sum(batch.receivable for batch in theirs)
    assert {state for state, amount in totals(town).items() if amount} >= {"settled", "unsettled", "uncollectible"}
