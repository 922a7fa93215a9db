"""Events, registrations, cancellations and people's decisions in any order: every effect once, no event left behind."""

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import KessaiError
from shared.ledger.books import Shop
from shared.ledger.decisions import MOVES_MONEY, Resolution
from tests.given import ENDPOINT, new_order, payment, settlement, usage
from tests.integration.ledger.books import TABLES, TestBooks
from tests.integration.ledger.desk import ANN, BOB, Desk

ORDERS = ["order-1", "order-2", "order-3"]
_names = st.sampled_from(ORDERS)
_odd: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {}, {"amount_minor": 7}, {"merchant": "other"}, {"challenge_hash": "lost-1"}, {"challenge_hash": "lost-2"}]
)
_places = st.integers(0, 5)
"""Of a review among the open ones."""


@st.composite
def _events(draw: st.DrawFn) -> tuple[str, bytes]:
    event_id, name = draw(st.sampled_from([f"evt-{n}" for n in range(8)])), draw(_names)
    requirement, odd = draw(st.sampled_from(["req-a", "req-b"])), draw(_odd)
    make = draw(st.sampled_from([payment, payment, usage, None]))
    if make is None:
        return "apply", settlement(event_id, chain_receipt_id=draw(st.sampled_from(["chain-a", "chain-b"])))
    requirement_of_challenge = f"{requirement}-{odd.get('challenge_hash', name)}"
    return "apply", make(event_id, name, **{"requirement_id": requirement_of_challenge} | odd)


@st.composite
def _decisions(draw: st.DrawFn) -> tuple[str, int, Resolution, str, bool, int]:
    resolution = draw(st.sampled_from([*Resolution, Resolution.LINK_ORDER]))
    return "resolve", draw(_places), resolution, draw(_names), draw(st.booleans()), draw(st.sampled_from([1, 1, 1, 2]))


_steps = st.one_of(
    _events(),
    _events(),
    _decisions(),
    _decisions(),
    st.tuples(st.just("approve"), _places),
    st.tuples(st.just("register"), _names),
    st.tuples(st.just("cancel"), _names),
    st.tuples(st.just("opt"), st.booleans()),
)

# Where other bytes under its event id were counted, the review of the first ones is left to a person.
LEFT_BEHIND = """
SELECT event_id
FROM kessai.webhook_events AS claim
WHERE (outcome, reason) IS DISTINCT FROM ('applied', 'event_id_conflict') AND (outcome = 'review') <> EXISTS (
    SELECT FROM kessai.reviews
    WHERE (endpoint, event_id, body_digest) = (claim.endpoint, claim.event_id, claim.body_digest) AND state = 'open'
)
"""


EFFECTS = """
SELECT count(*)
FROM (SELECT event_id FROM kessai.audit WHERE action = 'order.moved' AND event_id IS NOT NULL
      UNION ALL
      SELECT event_id FROM kessai.settlement_batches) AS effects
GROUP BY event_id
HAVING count(*) > 1
"""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_steps, min_size=10, max_size=30))
async def test_every_effect_happens_once(books: TestBooks, steps: list[tuple[Any, ...]]) -> None:
    await books.rows(f"TRUNCATE {', '.join(f'kessai.{table}' for table in TABLES)} RESTART IDENTITY")
    await books.register(new_order("order-1"))
    desk = Desk(books)
    for step in steps:
        try:
            await _do(books, desk, *step)
        except KessaiError:
            continue
    assert not await books.rows(LEFT_BEHIND)
    assert not await books.rows(EFFECTS)
    moves = await books.moves()
    assert set(Counter(order_id for order_id, _, _ in moves).values()) <= {1}
    assert {before for _, before, _ in moves} <= {"pending"}
    assert {tuple(row) for row in await books.rows("SELECT order_id, state FROM kessai.orders")} >= {
        (order_id, state) for order_id, _, state in moves
    }
    told = [name for name, _ in await books.told()]
    assert Counter(name for name in told if name.startswith("order.")) == Counter(f"order.{to}" for _, _, to in moves)
    assert told.count("batch.settled") <= 1
    assert await books.value("SELECT count(*) FROM kessai.orders WHERE state = 'fulfilled_unsettled'") == (
        await books.value("SELECT count(*) FROM kessai.metered_usage")
    )
    assert not await books.rows(
        "SELECT requirement_id FROM kessai.orders WHERE state <> 'pending' GROUP BY 1 HAVING count(requirement_id) > 1"
    )


async def _do(books: TestBooks, desk: Desk, what: str, *how: Any) -> None:  # noqa: ANN401 - as drawn
    match what, how:
        case "apply", (raw,):
            await books.apply(raw)
        case "register", (name,):
            await books.register(new_order(name, 1200 if name == "order-1" else 200))
        case "cancel", (name,):
            await books.cancel(name)
        case "opt", (opted_in,):
            books.shops = {ENDPOINT: Shop("tea_house", allow_metered_payments=opted_in)}
        case "approve", (place,):
            await desk.approve(await _open_review(books, place), actor=BOB)
        case "resolve", (place, resolution, name, accept, approvals):
            review_id = await _open_review(books, place)
            order_id = name if resolution is Resolution.LINK_ORDER else None
            accept = accept and resolution in MOVES_MONEY
            await desk.resolve(review_id, resolution, order_id, actor=ANN, accept_mismatch=accept, approvals=approvals)


async def _open_review(books: TestBooks, place: int) -> int:
    """Some open review, or none that there is."""
    rows = await books.rows("SELECT review_id FROM kessai.reviews WHERE state = 'open' ORDER BY review_id")
    return int(rows[place % len(rows)]["review_id"]) if rows else 4711
