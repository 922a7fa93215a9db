"""Evidence settles a review only where everything says the same, to the last field."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.books import Order
from shared.ledger.decisions import Resolution
from shared.ledger.hosted_sessions import Payable, StatedSession
from shared.ledger.suggestions import Asked, suggest
from shared.ledger.transitions import OrderState, ReviewReason
from shared.sdrp.classify import StandardSettled
from shared.sdrp.money import Currency
from tests.given import ABSENT, ENDPOINT, NOW, challenge_hash, incoming, payment, usage

HASH = challenge_hash("order-1")
SESSION = StatedSession(
    *("chk_1", "paid", "tea_house", 1200, "JPY", HASH, "req-order-1", "standard", "per_payment_onchain", "settled"),
    *("chain-order-1", NOW - timedelta(hours=1)),
)
ORDER = Order("order-1", ENDPOINT, 1200, Currency.JPY, OrderState.PENDING)
ASKED = Asked(SESSION, Payable(ORDER, "tea_house", HASH))

_changes = st.sampled_from(
    [
        {},
        {"status": "open"},
        {"merchant": "other"},
        {"amount_minor": 1201},
        {"currency": "USD"},
        {"challenge_hash": challenge_hash("order-2")},
        {"requirement_id": "req-other"},
        {"requirement_id": None},
        {"pricing_band": "micro"},
        {"finality": "aggregated_onchain_settlement"},
        {"settlement_status": "pending_settlement"},
        {"chain_receipt_id": "chain-other"},
        {"chain_receipt_id": None},
    ]
)
_orders = st.sampled_from(
    [
        ORDER,
        ORDER._replace(amount_minor=1300),
        ORDER._replace(currency=Currency.USD),
        *(ORDER._replace(state=state) for state in OrderState if state is not OrderState.PENDING),
    ]
)
_events = st.sampled_from(
    [
        payment(),
        payment(amount_minor=1201),
        payment(amount_minor=ABSENT),
        payment(currency="USD"),
        payment(requirement_id="req-other"),
        payment(chain_receipt_id="chain-other"),
        usage(),
        payment(mode="cash"),
        None,
    ]
)


@given(
    st.sampled_from(ReviewReason),
    _events,
    _changes,
    _orders,
    st.sampled_from(["tea_house", "other", None]),
    st.sampled_from([None, "order-1", "order-9"]),
)
def test_nothing_is_suggested_unless_all_of_it_fits(
    reason: ReviewReason,
    raw: bytes | None,
    change: dict[str, object],
    order: Order,
    merchant: str | None,
    spent_on: str | None,
) -> None:
    confirmation = incoming(raw).confirmation if raw is not None else None
    session = SESSION._replace(**change)  # type: ignore[arg-type]
    found = suggest(reason, confirmation, Asked(session, Payable(order, merchant, HASH, spent_on)))
    if found is None:
        return
    assert (order, merchant) == (ORDER, "tea_house")
    assert spent_on in (None, "order-1")
    if reason is ReviewReason.MISSED_WEBHOOK:
        assert found.resolution is Resolution.ACCEPT_SESSION
        assert not session.lacks
        return
    assert reason is ReviewReason.UNKNOWN_CHALLENGE_HASH
    assert (found.resolution, found.order_id) == (Resolution.LINK_ORDER, "order-1")
    assert session == SESSION
    assert isinstance(confirmation, StandardSettled)
    assert confirmation.amount == Decimal(1200)
    assert confirmation.currency == "JPY"
    assert (confirmation.requirement_id, confirmation.chain_receipt_id) == ("req-order-1", "chain-order-1")


def test_what_fits_is_suggested_with_its_reason() -> None:
    found = suggest(ReviewReason.UNKNOWN_CHALLENGE_HASH, incoming(payment()).confirmation, ASKED)
    assert found is not None
    assert "chk_1" in found.why
    assert found.decision.order_id == "order-1"


def test_without_an_answer_there_is_nothing_to_say() -> None:
    assert suggest(ReviewReason.UNKNOWN_CHALLENGE_HASH, incoming(payment()).confirmation, None) is None
