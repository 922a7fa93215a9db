"""The checker itself: it is content with books that are right, and names whatever is wrong with them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.recovery.history import Books, Row, violations
from tests.faults.recovery.load import DEAD_LETTER, DUPLICATE, REVIEW, Webhook, load

LOAD = load(100)
ACKNOWLEDGED = Counter(LOAD.webhooks)
EVENTS = [webhook for webhook in ACKNOWLEDGED if webhook.event_id]
AGAIN = "evt-again-order-0"


def perfect() -> Books:
    """What the load comes to when nothing breaks."""
    orders = {order.order_id: order for order in LOAD.orders}
    return Books(
        events={webhook.event_id: row_of(webhook) for webhook in EVENTS},
        archive=Counter((webhook.event_id, webhook.raw) for webhook in EVENTS),
        orders={
            key: ("paid" if order.is_paid else "fulfilled_unsettled", order.amount_minor)
            for key, order in orders.items()
        },
        moves=Counter(orders.keys()),
        facts=Counter((webhook.fact, webhook.subject) for webhook in EVENTS if webhook.fact),
        waiting_facts=0,
        reviews=Counter((webhook.event_id, "unknown_challenge_hash") for webhook in EVENTS if webhook.fate == REVIEW),
        letters=Counter({one.raw: times for one, times in ACKNOWLEDGED.items() if one.fate == DEAD_LETTER}),
        usage=Counter(key for key, order in orders.items() if not order.is_paid),
        batches=Counter(webhook.subject for webhook in EVENTS if webhook.fact == "batch.settled"),
    )


def row_of(webhook: Webhook) -> Row:
    return Row(webhook.fate, "unknown_challenge_hash" if webhook.fate == REVIEW else None, ACKNOWLEDGED[webhook])


def lost_event(books: Books) -> Books:
    return replace(books, events={key: row for key, row in books.events.items() if key != "evt-order-1"})


def never_sent(books: Books) -> Books:
    return replace(books, events={**books.events, "evt-of-nobody": Row("applied", None, 1)})


def applied_twice(books: Books) -> Books:
    return replace(books, events={**books.events, AGAIN: replace(books.events[AGAIN], outcome="applied")})


def repeat_not_counted(books: Books) -> Books:
    twice = next(webhook for webhook in EVENTS if ACKNOWLEDGED[webhook] == 2)
    return replace(books, events={**books.events, twice.event_id: replace(row_of(twice), deliveries=1)})


def lost_bytes(books: Books) -> Books:
    return replace(books, archive=Counter(list(books.archive)[1:]))


def moved_twice(books: Books) -> Books:
    return replace(books, moves=books.moves + Counter(["order-1"]))


def told_twice(books: Books) -> Books:
    return replace(books, facts=books.facts + Counter([("order.paid", "order-1")]))


def untold(books: Books) -> Books:
    return replace(books, facts=books.facts - Counter([("order.paid", "order-1")]))


def waiting(books: Books) -> Books:
    return replace(books, waiting_facts=1)


def unexplained_review(books: Books) -> Books:
    return replace(books, reviews=books.reviews + Counter([("evt-order-1", "second_payment")]))


def used_twice(books: Books) -> Books:
    return replace(books, usage=books.usage + Counter(["usage-1"]))


def settled_twice(books: Books) -> Books:
    return replace(books, batches=books.batches + Counter(["batch-0"]))


def lost_letter(books: Books) -> Books:
    return replace(books, letters=books.letters - Counter(list(books.letters)[:1]))


def unexplained_letter(books: Books) -> Books:
    return replace(books, letters=books.letters + Counter([b"a good payment"]))


def unpaid_order(books: Books) -> Books:
    return replace(books, orders={**books.orders, "order-1": ("pending", 502)})


def another_amount(books: Books) -> Books:
    return replace(books, orders={**books.orders, "order-1": ("paid", 9999)})


def test_it_is_content_with_books_that_are_right() -> None:
    assert violations(LOAD, ACKNOWLEDGED, perfect()) == []


def test_either_of_two_events_of_one_payment_may_come_first() -> None:
    books = perfect()
    first, second = books.events["evt-order-0"], books.events[AGAIN]
    assert second.outcome == DUPLICATE
    swapped = {
        **books.events,
        "evt-order-0": replace(first, outcome=second.outcome),
        AGAIN: replace(second, outcome=first.outcome),
    }
    assert violations(LOAD, ACKNOWLEDGED, replace(books, events=swapped)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        *(lost_event, never_sent, applied_twice, repeat_not_counted, lost_bytes, moved_twice, told_twice, untold),
        *(waiting, unexplained_review, used_twice, settled_twice, lost_letter, unexplained_letter),
        *(unpaid_order, another_amount),
    ],
)
def test_it_names_what_is_wrong(spoil: Callable[[Books], Books]) -> None:
    assert violations(LOAD, ACKNOWLEDGED, spoil(perfect()))
