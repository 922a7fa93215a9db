"""However deliveries are cut into batches, repeated by the platform or by the broker, the books end the same."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ledger.books import Outcome
from shared.ledger.incoming import Incoming
from shared.ledger.transitions import OrderState
from tests.given import incoming, new_order, payment, settlement, usage
from tests.unit.ledger.model import ModelBooks

ORDERS = [new_order("order-1"), new_order("order-2"), new_order("order-3", 200)]

_event_ids = st.sampled_from([f"evt-{n}" for n in range(6)])
_order_ids = st.sampled_from(["order-1", "order-2", "order-3", "order-9"])
_requirements = st.sampled_from(["req-a", "req-b", "req-c"])
_odd_fields: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {}, {}, {"amount_minor": 7}, {"currency": "USD"}, {"merchant": "other"}, {"merchant": None}, {"mode": "cash"}]
)


@st.composite
def _raws(draw: st.DrawFn) -> bytes:
    """Few ids, so that events, orders, requirements and batches collide."""
    event_id, order_id = draw(_event_ids), draw(_order_ids)
    match draw(st.sampled_from(["payment", "payment", "usage", "settlement", "probe"])):
        case "payment":
            return payment(event_id, order_id, requirement_id=draw(_requirements), **draw(_odd_fields))
        case "usage":
            return usage(event_id, order_id, requirement_id=draw(_requirements), **draw(_odd_fields))
        case "settlement":
            return settlement(event_id, chain_receipt_id=draw(st.sampled_from(["chain-a", "chain-b"])))
        case _:
            return payment(event_id, readiness_probe=True)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Incoming], list[list[Incoming]]]:
    """Deliveries in the order in which they came first, and the same in batches with redeliveries strewn in."""
    raws = draw(st.lists(_raws(), min_size=1, max_size=25))
    once = [incoming(raw, receipt=number) for number, raw in enumerate(raws, 1)]
    batches: list[list[Incoming]] = [[]]
    for number, delivery in enumerate(once):
        cut = draw(st.booleans())
        if cut and batches[-1]:
            batches.append([])
        batches[-1].append(delivery)
        for earlier in draw(st.lists(st.integers(0, number), max_size=2)):
            again = once[earlier].envelope
            fresh = draw(st.booleans())  # delivered anew by the platform, or once more by the broker
            batches[-1].append(incoming(again.raw, receipt=None if fresh else again.receipt_id.int))
    return once, batches


@settings(max_examples=120, deadline=None)
@given(histories())
def test_batches_and_redeliveries_change_nothing(history: tuple[list[Incoming], list[list[Incoming]]]) -> None:
    once, batches = history
    one_by_one, batched = ModelBooks.of(ORDERS), ModelBooks.of(ORDERS)
    for delivery in once:
        one_by_one.apply([delivery])
    for batch in batches:
        batched.apply(batch)
    assert batched.story() == one_by_one.story()


@settings(max_examples=80, deadline=None)
@given(histories())
def test_every_event_has_one_outcome_and_every_order_moves_at_most_once(
    history: tuple[list[Incoming], list[list[Incoming]]],
) -> None:
    _, batches = history
    books = ModelBooks.of(ORDERS)
    claimed: Counter[tuple[str, str]] = Counter()
    applied: list[Incoming] = []
    for batch in batches:
        changes = books.apply(batch)
        claimed.update(changes.claims.keys())
        applied += [row.incoming for row in changes.moves]
        _check_accounts(batch, books)
    assert set(claimed.values()) <= {1}
    assert set(Counter(order_id for order_id, _, _ in books.moves).values()) <= {1}
    assert {order_id for order_id, _, _ in books.moves} == _moved(books)
    assert Counter(fact.name for fact in books.told if fact.name.startswith("order.")) == Counter(
        f"order.{state}" for _, _, state in books.moves
    )
    assert _sum(applied) == sum(books.orders[order_id].amount_minor for order_id in _moved(books))


def _check_accounts(batch: Sequence[Incoming], books: ModelBooks) -> None:
    """Every delivery's event is in the books with its outcome."""
    for delivery in batch:
        assert books.claims[delivery.key].outcome in set(Outcome)


def _moved(books: ModelBooks) -> set[str]:
    return {order.order_id for order in books.orders.values() if order.state is not OrderState.PENDING}


def _sum(applied: Sequence[Incoming]) -> Decimal:
    """Money that the applied confirmations themselves name; each carries its amount."""
    return sum((Decimal(delivery.event.data["amount_minor"]) for delivery in applied), Decimal(0))
