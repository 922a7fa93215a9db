"""What each confirmation means for the books, one at a time."""

from typing import Any

import pytest

from shared.ledger.books import Claim, Outcome, Shop
from shared.ledger.transitions import OrderState, ReviewReason
from tests.given import ABSENT, ENDPOINT, confirmation, incoming, new_order, payment, settlement, usage
from tests.unit.ledger.model import ModelBooks

KEY = (ENDPOINT, "evt-1")


def outcome_of(books: ModelBooks, raw: bytes) -> tuple[Outcome, str | None]:
    delivery = incoming(raw)
    books.apply([delivery])
    return books.claims[delivery.key].outcome, books.reasons[delivery.key]


def review_of(raw: bytes, *, books: ModelBooks | None = None) -> str | None:
    """The reason of the review that the only confirmation of order-1 ends in; its order stays as it was."""
    books = books or ModelBooks.of([new_order()])
    before = dict(books.orders)
    outcome, reason = outcome_of(books, raw)
    assert outcome is Outcome.REVIEW
    assert books.orders == before
    return reason


def test_a_payment_pays_its_order() -> None:
    books = ModelBooks.of([new_order()])
    assert outcome_of(books, payment()) == (Outcome.APPLIED, None)
    order = books.orders["order-1"]
    assert (order.state, order.requirement_id, order.chain_receipt_id) == (
        OrderState.PAID,
        "req-order-1",
        "chain-order-1",
    )
    assert order.paid_at is not None
    assert order.paid_at.isoformat() == "2026-11-20T11:59:58+00:00"
    assert [fact.name for fact in books.told] == ["order.paid"]


@pytest.mark.parametrize(
    ("carried", "reason"),
    [
        ({"merchant": "coffee_house", "currency": "USD", "amount_minor": 1}, ReviewReason.MERCHANT_MISMATCH),
        ({"currency": "USD", "amount_minor": 1}, ReviewReason.CURRENCY_MISMATCH),
        ({"amount_minor": 1201}, ReviewReason.AMOUNT_MISMATCH),
        ({"merchant": 7}, ReviewReason.MERCHANT_MISMATCH),
        ({"currency": ["JPY"]}, ReviewReason.CURRENCY_MISMATCH),
        ({"amount_minor": True}, ReviewReason.AMOUNT_MISMATCH),
        ({"amount_minor": 1200.0}, ReviewReason.AMOUNT_MISMATCH),
        ({"amount_minor": "1_200"}, ReviewReason.AMOUNT_MISMATCH),
        ({"amount_minor": 2**53}, ReviewReason.AMOUNT_MISMATCH),
        ({"amount_minor": "1200.5"}, ReviewReason.AMOUNT_MISMATCH),
        ({"amount_minor": -1200}, ReviewReason.AMOUNT_MISMATCH),
    ],
)
def test_the_first_field_that_contradicts_the_order_is_the_reason(
    carried: dict[str, Any], reason: ReviewReason
) -> None:
    assert review_of(payment(**carried)) == reason


def test_a_band_that_is_not_the_orders_is_a_mismatch_and_the_last_one_looked_for() -> None:
    micro_order = ModelBooks.of([new_order(amount_minor=200)])
    assert review_of(payment(amount_minor=200), books=micro_order) == ReviewReason.BAND_MISMATCH
    assert review_of(payment("evt-2", amount_minor=201), books=micro_order) == ReviewReason.AMOUNT_MISMATCH
    standard_order = ModelBooks.of([new_order()])
    assert review_of(usage(amount_minor=1200), books=standard_order) == ReviewReason.BAND_MISMATCH


@pytest.mark.parametrize("value", [None, ABSENT])
def test_what_an_event_does_not_carry_contradicts_nothing(value: object) -> None:
    books = ModelBooks.of([new_order()])
    raw = payment(merchant=value, currency=value, amount_minor=value)
    assert outcome_of(books, raw) == (Outcome.APPLIED, None)


@pytest.mark.parametrize(
    "carried",
    [{"amount_minor": "1200"}, {"amount_minor": "1200.00"}, {"currency": "jpy"}, {"merchant": " Tea_House "}],
)
def test_another_way_of_writing_the_same_is_no_mismatch(carried: dict[str, Any]) -> None:
    assert outcome_of(ModelBooks.of([new_order()]), payment(**carried)) == (Outcome.APPLIED, None)


def test_blank_text_is_not_carried() -> None:
    books = ModelBooks.of([new_order()])
    assert outcome_of(books, payment(merchant=" ", currency="")) == (Outcome.APPLIED, None)


def test_a_batch_of_another_merchant_is_not_ours_to_book() -> None:
    books = ModelBooks.of([])
    assert outcome_of(books, settlement(merchant="coffee_house")) == (Outcome.REVIEW, ReviewReason.MERCHANT_MISMATCH)
    assert outcome_of(books, settlement("evt-2", merchant="tea_house")) == (Outcome.APPLIED, None)


def test_an_order_of_another_endpoint_is_not_ours_to_pay() -> None:
    books = ModelBooks.of([new_order(endpoint="other")])
    assert review_of(payment(), books=books) == ReviewReason.MERCHANT_MISMATCH


def test_an_endpoint_without_a_merchant_leaves_it_unchecked() -> None:
    books = ModelBooks.of([new_order()], shops={ENDPOINT: Shop()})
    assert outcome_of(books, payment(merchant="whoever")) == (Outcome.APPLIED, None)


def test_a_hash_that_no_order_has_is_a_review() -> None:
    assert review_of(payment(order_id="order-9")) == ReviewReason.UNKNOWN_CHALLENGE_HASH
    assert review_of(usage(order_id="order-9")) == ReviewReason.UNKNOWN_METERED_CHALLENGE_HASH


def test_usage_moves_nothing_before_the_merchant_has_opted_in() -> None:
    shut = ModelBooks.of([new_order(amount_minor=200)], shops={ENDPOINT: Shop("tea_house")})
    assert review_of(usage(), books=shut) == ReviewReason.METERED_INTEGRATION_REQUIRED
    unlisted = ModelBooks.of([new_order(amount_minor=200)], shops={})
    assert review_of(usage(), books=unlisted) == ReviewReason.METERED_INTEGRATION_REQUIRED


def test_usage_fulfils_its_order_without_paying_it() -> None:
    books = ModelBooks.of([new_order(amount_minor=200)])
    assert outcome_of(books, usage()) == (Outcome.APPLIED, None)
    order = books.orders["order-1"]
    assert (order.state, order.paid_at, order.chain_receipt_id) == (OrderState.FULFILLED_UNSETTLED, None, None)
    assert [fact.name for fact in books.told] == ["order.fulfilled_unsettled"]


def test_the_same_requirement_under_another_event_id_is_a_duplicate() -> None:
    books = ModelBooks.of([new_order()])
    books.apply([incoming(payment())])
    assert outcome_of(books, payment("evt-2")) == (Outcome.DUPLICATE, None)
    assert len(books.moves) == 1
    assert not books.reviews


def test_another_requirement_for_a_paid_order_is_a_second_payment() -> None:
    books = ModelBooks.of([new_order()])
    books.apply([incoming(payment())])
    assert review_of(payment("evt-2", requirement_id="req-other"), books=books) == ReviewReason.SECOND_PAYMENT


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize("second", [payment("evt-2", "order-2"), usage("evt-2", "order-3")])
def test_a_requirement_pays_one_order_whatever_challenges_it_names(second: bytes, in_one_batch: bool) -> None:
    books = ModelBooks.of([new_order("order-1"), new_order("order-2"), new_order("order-3", 200)])
    own = incoming(second).requirement
    assert own is not None
    deliveries = [incoming(payment(requirement_id=own[1])), incoming(second)]
    for batch in [deliveries] if in_one_batch else [[delivery] for delivery in deliveries]:
        changes = books.apply(batch)
    assert {order.order_id for order in books.orders.values() if order.state is not OrderState.PENDING} == {"order-1"}
    assert books.reasons[ENDPOINT, "evt-2"] == ReviewReason.REQUIREMENT_CONFLICT
    assert [review.spent_on for review in changes.reviews] == ["order-1"]


def test_in_one_batch_the_second_payment_sees_the_first() -> None:
    books = ModelBooks.of([new_order()])
    books.apply([incoming(payment()), incoming(payment("evt-2", requirement_id="req-other"))])
    assert books.claims[KEY].outcome is Outcome.APPLIED
    assert books.reasons[ENDPOINT, "evt-2"] == ReviewReason.SECOND_PAYMENT


def test_the_same_event_twice_in_one_batch_counts_as_delivered_again() -> None:
    books = ModelBooks.of([new_order()])
    changes = books.apply([incoming(payment()), incoming(payment()), incoming(payment())])
    assert changes.repeats == {KEY: 2}
    assert len(books.moves) == 1


def test_the_same_event_id_with_other_bytes_is_a_conflict_and_the_first_stands() -> None:
    books = ModelBooks.of([new_order()])
    changes = books.apply([incoming(payment()), incoming(payment(amount_minor=99))])
    assert books.claims[KEY].outcome is Outcome.APPLIED
    assert [review.reason for review in changes.reviews] == [ReviewReason.EVENT_ID_CONFLICT]
    kept = [incoming.envelope.raw for incoming in (*changes.archive, *changes.conflicts)]
    assert kept == [payment(), payment(amount_minor=99)]


def test_endpoints_do_not_share_event_ids() -> None:
    books = ModelBooks.of([new_order(), new_order("order-2", endpoint="other")])
    books.apply([incoming(payment()), incoming(payment(order_id="order-2"), endpoint="other")])
    assert {order.state for order in books.orders.values()} == {OrderState.PAID}


def test_the_same_receipt_again_changes_nothing_at_all() -> None:
    books = ModelBooks.of([new_order()])
    books.apply([incoming(payment(), receipt=5)])
    again = books.apply([incoming(payment(), receipt=5)] * 2)
    assert not any(
        (again.claims, again.repeats, again.archive, again.orders, again.reviews, again.told, again.outcomes)
    )


def test_an_event_that_was_set_aside_is_applied_when_it_comes_again() -> None:
    books = ModelBooks.of([new_order()])
    delivery = incoming(payment(), receipt=5)
    books.claims[KEY] = Claim(delivery.envelope.receipt_id, delivery.digest, Outcome.DEAD_LETTER)
    books.apply([delivery, incoming(payment())])
    assert books.claims[KEY].outcome is Outcome.APPLIED
    assert len(books.moves) == 1


def test_other_bytes_under_the_id_of_a_dead_letter_are_a_conflict() -> None:
    books = ModelBooks.of([new_order()])
    dead = incoming(payment())
    books.claims[KEY] = Claim(dead.envelope.receipt_id, dead.digest, Outcome.DEAD_LETTER)
    changes = books.apply([incoming(payment(amount_minor=99))])
    assert [review.reason for review in changes.reviews] == [ReviewReason.EVENT_ID_CONFLICT]
    assert not books.moves


def test_a_batch_is_settled_once_and_told_once() -> None:
    books = ModelBooks.of([])
    assert outcome_of(books, settlement()) == (Outcome.APPLIED, None)
    assert outcome_of(books, settlement("evt-2")) == (Outcome.DUPLICATE, None)
    assert [fact.name for fact in books.told] == ["batch.settled"]


@pytest.mark.parametrize(
    "other",
    [
        {"chain_receipt_id": "chain-other"},
        {"usage_event_digest": "digest-other"},
        {"pricing_band": "nano", "settlement_cadence": "monthly"},
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_another_settlement_of_the_same_batch_is_a_conflict(other: dict[str, Any], together: bool) -> None:
    books = ModelBooks.of([])
    deliveries = [incoming(settlement()), incoming(settlement("evt-2", **other))]
    for batch in [deliveries] if together else [[each] for each in deliveries]:
        books.apply(batch)
    assert books.reasons[ENDPOINT, "evt-2"] == ReviewReason.BATCH_CONFLICT
    assert books.batches["batch-1"].chain_receipt_id == "chain-batch-1"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (confirmation("evt-1", {}, type_="order.shipped"), ReviewReason.NOT_DIRECT_PAYMENT_CONFIRMED),
        (payment(mode="cash"), ReviewReason.UNSUPPORTED_CONFIRMATION_MODE),
        (settlement(usage_event_digest=ABSENT), ReviewReason.INVALID_METERED_SETTLEMENT_CONFIRMATION),
        (payment(chain_receipt_id=None), ReviewReason.MISSING_STANDARD_SETTLEMENT_FIELDS),
        (usage(settlement_cadence="daily"), ReviewReason.MISSING_METERED_USAGE_FIELDS),
        (payment(pricing_band="grand"), ReviewReason.UNKNOWN_CONFIRMATION_SHAPE),
    ],
)
def test_every_unknown_shape_is_a_review_with_its_reason(raw: bytes, reason: ReviewReason) -> None:
    assert review_of(raw) == reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (payment(readiness_probe=True), "readiness_probe"),
        (payment(mode="readiness_probe"), "readiness_probe"),
        (confirmation("evt-1", {}, type_="direct_payment.spent"), "direct_payment.spent"),
    ],
)
def test_probes_and_spent_events_are_recorded_without_effect(raw: bytes, reason: str) -> None:
    books = ModelBooks.of([new_order()])
    assert outcome_of(books, raw) == (Outcome.IGNORED, reason)
    assert not books.moves
    assert not books.told
