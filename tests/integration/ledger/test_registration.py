"""Orders come before their payment or after it; either way the payment is applied once and nothing is left waiting."""

import pytest

from shared.ledger.orders import InvalidOrder, NewOrder, OrderConflict, OrderNotFound, OrderNotPending, Registered
from tests.given import challenge_hash, incoming, new_order, payment, usage
from tests.integration.ledger.books import TestBooks


async def test_a_payment_before_its_order_opens_a_review_at_once(books: TestBooks) -> None:
    await books.apply(payment())
    assert await books.outcome("evt-1") == ("review", "unknown_challenge_hash", None)
    review = await books.row("SELECT * FROM kessai.reviews")
    assert (review["queue"], review["state"], review["order_id"]) == ("unknown", "open", None)
    assert review["challenge_hash"] == challenge_hash("order-1")
    assert await books.told() == [("review.opened", "evt-1")]


async def test_registering_the_order_applies_what_waited_and_closes_its_review(books: TestBooks) -> None:
    await books.apply(payment())
    assert await books.register(new_order()) == Registered(new=1, known=0, applied=1, reviewed=0)
    order = await books.order()
    assert (order.state, order.requirement_id, order.chain_receipt_id) == ("paid", "req-order-1", "chain-order-1")
    assert await books.outcome("evt-1") == ("applied", None, "order-1")
    review = await books.row("SELECT state, resolution, closed_at FROM kessai.reviews")
    assert (review["state"], review["resolution"]) == ("closed", "order_registered")
    assert review["closed_at"] is not None
    assert await books.told() == [("review.opened", "evt-1"), ("order.paid", "order-1")]
    assert await books.moves() == [("order-1", "pending", "paid")]
    assert await books.acts() == [
        ("test", "order.registered", "order-1"),
        ("test", "review.closed_by_registration", "review:1"),
    ]
    closed = await books.row("SELECT closed_by, version, order_id FROM kessai.reviews")
    assert tuple(closed) == ("test", 2, "order-1")


async def test_what_was_applied_by_a_registration_is_never_applied_again(books: TestBooks) -> None:
    delivery = incoming(payment())
    await books.apply(delivery)
    await books.register(new_order())
    before = await books.everything()
    assert await books.register(new_order()) == Registered(new=0, known=1, applied=0, reviewed=0)
    await books.apply(delivery)
    assert await books.everything() == before
    await books.apply(payment())
    assert await books.everything("orders", "outbox", "audit") == {
        table: before[table] for table in ("orders", "outbox", "audit")
    }


async def test_waiting_usage_is_applied_and_booked(books: TestBooks) -> None:
    await books.apply(usage())
    assert await books.reviews() == [("evt-1", "unknown_metered_challenge_hash", "open")]
    await books.register(new_order(amount_minor=200))
    assert (await books.order()).state == "fulfilled_unsettled"
    assert await books.value("SELECT order_id FROM kessai.metered_usage") == "order-1"


async def test_a_waiting_payment_of_a_spent_requirement_does_not_pay_again(books: TestBooks) -> None:
    await books.apply(*(payment(f"evt-{n}", f"order-{n}", requirement_id="req-x") for n in (1, 2, 3)))
    await books.register(new_order("order-1"), new_order("order-2"))
    await books.register(new_order("order-3"))
    assert await books.moves() == [("order-1", "pending", "paid")]
    assert (await books.reviews())[3:] == [(f"evt-{n}", "requirement_conflict", "open") for n in (2, 3)]


async def test_of_two_waiting_payments_the_second_is_a_second_payment(books: TestBooks) -> None:
    await books.apply(payment("evt-1"), payment("evt-2", requirement_id="req-other"), payment("evt-3"))
    assert await books.register(new_order()) == Registered(new=1, known=0, applied=1, reviewed=1)
    assert await books.outcome("evt-1") == ("applied", None, "order-1")
    assert await books.outcome("evt-2") == ("review", "second_payment", "order-1")
    assert await books.outcome("evt-3") == ("duplicate", None, "order-1")
    assert await books.reviews() == [
        ("evt-1", "unknown_challenge_hash", "closed"),
        ("evt-2", "unknown_challenge_hash", "closed"),
        ("evt-3", "unknown_challenge_hash", "closed"),
        ("evt-2", "second_payment", "open"),
    ]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (new_order(amount_minor=1300), "amount_mismatch"),
        (new_order(currency="USD"), "currency_mismatch"),
        (new_order(endpoint="other"), "merchant_mismatch"),
        (new_order(amount_minor=1200), None),
    ],
)
async def test_a_waiting_payment_that_does_not_fit_gets_the_review_that_says_why(
    books: TestBooks, order: NewOrder, reason: str | None
) -> None:
    await books.apply(payment())
    registered = await books.register(order)
    state = (await books.order()).state
    if reason is None:
        assert (registered.applied, registered.reviewed, state) == (1, 0, "paid")
        return
    assert (registered.applied, registered.reviewed, state) == (0, 1, "pending")
    assert await books.outcome("evt-1") == ("review", reason, "order-1")
    assert await books.reviews() == [("evt-1", "unknown_challenge_hash", "closed"), ("evt-1", reason, "open")]


async def test_bytes_that_conflicted_with_a_waiting_payment_do_not_disturb_it(books: TestBooks) -> None:
    await books.apply(payment())
    await books.apply(payment(amount_minor=1))
    await books.register(new_order())
    assert (await books.order()).state == "paid"
    assert await books.reviews() == [
        ("evt-1", "unknown_challenge_hash", "closed"),
        ("evt-1", "event_id_conflict", "open"),
    ]


async def test_a_further_challenge_of_an_order_finds_the_payment_that_waited_for_it(books: TestBooks) -> None:
    await books.register(new_order())
    await books.apply(payment(challenge_hash="sha256:second-attempt"))
    again = new_order(challenge="sha256:second-attempt")
    assert await books.register(again) == Registered(new=0, known=1, applied=1, reviewed=0)
    assert (await books.order()).state == "paid"


async def test_many_orders_are_registered_together(books: TestBooks) -> None:
    await books.apply(*(payment(f"evt-{n}", f"order-{n}") for n in range(0, 100, 2)))
    registered = await books.register(*(new_order(f"order-{n}") for n in range(100)))
    assert registered == Registered(new=100, known=0, applied=50, reviewed=0)
    assert await books.value("SELECT count(*) FROM kessai.orders WHERE state = 'paid'") == 50


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (new_order(amount_minor=1300), "amount_minor 1200, not 1300"),
        (new_order(currency="USD"), "currency 'JPY', not 'USD'"),
        (new_order(endpoint="other"), "endpoint 'siglume', not 'other'"),
        (new_order("order-2", challenge=challenge_hash("order-1")), "belongs to order 'order-1'"),
    ],
)
async def test_books_that_say_otherwise_are_left_as_they_are(books: TestBooks, other: NewOrder, complaint: str) -> None:
    await books.register(new_order())
    before = await books.everything()
    with pytest.raises(OrderConflict, match=complaint):
        await books.register(new_order("order-3"), other)
    assert await books.everything() == before


async def test_contradictions_within_one_registration_are_refused_whole(books: TestBooks) -> None:
    with pytest.raises(OrderConflict):
        await books.register(new_order(), new_order(amount_minor=1300))
    with pytest.raises(OrderConflict):
        await books.register(new_order("order-1", challenge="same"), new_order("order-2", challenge="same"))
    assert not await books.rows("SELECT FROM kessai.orders")


@pytest.mark.parametrize("amount", [0, -1, 2**53, True, "1200", 12.0])
def test_an_order_without_a_proper_amount_is_refused(amount: object) -> None:
    with pytest.raises(InvalidOrder, match="amount_minor"):
        new_order(amount_minor=amount)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "x" * 256, "half a \ud83c pair"])
def test_an_order_without_a_proper_id_or_challenge_is_refused(text: str) -> None:
    with pytest.raises(InvalidOrder, match="order id"):
        NewOrder(text, 1200, "JPY", "siglume")
    with pytest.raises(InvalidOrder, match="challenge hash"):
        NewOrder("order-1", 1200, "JPY", "siglume", text)


async def test_a_payment_of_a_cancelled_order_is_reviewed(books: TestBooks) -> None:
    await books.register(new_order())
    assert (await books.cancel("order-1")).state == "cancelled"
    await books.apply(payment())
    assert (await books.order()).state == "cancelled"
    assert await books.outcome("evt-1") == ("review", "paid_after_close", "order-1")
    assert await books.told() == [("order.cancelled", "order-1"), ("review.opened", "order-1")]


async def test_cancelling_twice_is_cancelling_once(books: TestBooks) -> None:
    await books.register(new_order())
    await books.cancel("order-1")
    before = await books.everything()
    assert (await books.cancel("order-1")).state == "cancelled"
    assert await books.everything() == before
    assert await books.moves() == [("order-1", "pending", "cancelled")]
    assert await books.acts() == [("test", "order.registered", "order-1"), ("test", "order.cancelled", "order-1")]


async def test_what_is_paid_or_unknown_cannot_be_cancelled(books: TestBooks) -> None:
    await books.register(new_order())
    await books.apply(payment())
    with pytest.raises(OrderNotPending, match="order-1"):
        await books.cancel("order-1")
    with pytest.raises(OrderNotFound, match="order-9"):
        await books.cancel("order-9")
    assert (await books.order()).state == "paid"
