"""What may a person decide on a review, and what does it do to the books? Pure: a case in, a ruling or a refusal out.

Whatever is decided, the order moves by the one table of transitions.py: a decision says that a payment counts for an
order, never which state that order takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, assert_never

from shared.errors import KessaiError
from shared.ledger.books import Batch, Order, Outcome, Shop
from shared.ledger.changes import Ruling
from shared.ledger.hosted_sessions import Payable, StatedSession, following, merchant_untold, paid_by, unfit
from shared.ledger.incoming import Incoming
from shared.ledger.misfits import MISFITS, difference
from shared.ledger.rulings import rule, rule_accepted, rule_waiting
from shared.ledger.text import require_why
from shared.ledger.transitions import OF_SESSIONS, OF_STATEMENTS, Move, Review, ReviewReason
from shared.remedies import Remedy
from shared.sdrp.classify import MeteredBatchSettled, MeteredUsageAccepted, StandardSettled

REJECTED = "rejected"
"""Reason of an event that a person decided to have no effect."""


ACCEPTED = "accepted"
"""Reason of a difference that a person has explained."""


class InvalidDecision(KessaiError):
    """A decision that says too little or too much, found before any review is read."""


class OrderNotNamed(InvalidDecision):
    """A decision to link a payment to an order, without the order."""

    remedy = Remedy.NAME_ORDER


class Resolution(StrEnum):
    LINK_ORDER = "link-order"
    """The payment counts for the order that the person names, and its challenge is that order's from now on."""
    ACCEPT_METERED = "accept-metered"
    """The usage is taken for its order, as if the shop had opted in."""
    ACCEPT_MISMATCH = "accept-mismatch"
    """The payment counts for its order although a field differs."""
    REJECT = "reject"
    """Closed without effect."""
    REPROCESS = "reprocess"
    """Ruled again by today's classifier, shops and orders."""
    ACCEPT_SESSION = "accept-session"
    """The order takes the payment that its checkout session tells of; a webhook that still comes is a duplicate."""
    ACCEPT_DIFFERENCE = "accept-difference"
    """Statements and books differ, and the reason given explains it: the report no longer calls it unexplained."""


MOVES_MONEY: Final = (Resolution.LINK_ORDER, Resolution.ACCEPT_METERED, Resolution.ACCEPT_MISMATCH)
"""Resolutions that count the payment of an event."""
NEEDS_SECOND: Final = (*MOVES_MONEY, Resolution.ACCEPT_SESSION, Resolution.ACCEPT_DIFFERENCE)
"""Resolutions that a second person must approve where two approvals are required."""
_UNKNOWN_HASH: Final = (ReviewReason.UNKNOWN_CHALLENGE_HASH, ReviewReason.UNKNOWN_METERED_CHALLENGE_HASH)
_AT_THE_SHOP: Final = (ReviewReason.METERED_INTEGRATION_REQUIRED, ReviewReason.MERCHANT_MISMATCH)
"""Found before any order was looked for, so that such a payment may have none."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided, checked as it is made. Raises InvalidDecision, InvalidWhy."""

    resolution: Resolution
    why: str
    order_id: str | None = None
    """It is given for `link-order` and for nothing else."""
    accept_mismatch: bool = False
    """The payment counts although it does not fit; for `link-order`, `accept-metered` and `accept-mismatch`."""

    def __post_init__(self) -> None:
        require_why(self.why)
        if self.resolution is Resolution.LINK_ORDER and not self.order_id:
            raise OrderNotNamed("link-order needs the order that the payment is for")
        if self.resolution is not Resolution.LINK_ORDER and self.order_id is not None:
            raise InvalidDecision(f"{self.resolution} takes no order: only link-order does")
        if self.resolution not in MOVES_MONEY and self.accept_mismatch:
            raise InvalidDecision(f"{self.resolution} accepts no mismatch: leave that out")


@dataclass(frozen=True, slots=True)
class Case:
    """A review on the desk: what came, and what the books hold of it, locked."""

    reason: ReviewReason
    incoming: Incoming | None
    """None when its bytes are no longer kept."""
    order: Order | None
    """The order of its challenge; for `link-order` the one that the person named."""
    batches: Mapping[str, Batch]
    belongs_to: str | None = None
    """The order that has its challenge already."""
    spent_on: str | None = None
    """The order that its requirement has paid already."""
    is_rejected: bool = False
    """A person has rejected the payment of its challenge."""
    has_effect: bool = False
    """Its event has had an effect, or a duplicate, by other bytes under the same event id."""
    session: StatedSession | None = None
    """What the platform says is paid, where no event does."""
    challenge_hash: str | None = None
    """The challenge of that session, as the books keep it."""
    is_heard: bool = False
    """An event of that session's payment is in the books after all."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision that can be carried out."""

    ruling: Ruling
    accepted: ReviewReason | None = None
    """What did not fit and was accepted."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Today's ruling is the review itself."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The books allow no such thing; why, and what to do instead."""

    why: str
    remedy: Remedy | None = None


Answer = Verdict | Unchanged | Refusal


def decide(decision: Decision, case: Case, shops: Mapping[str, Shop]) -> Answer:
    """What this decision does to the books."""
    if case.reason in OF_STATEMENTS:
        return _of_statement(decision)
    if case.reason in OF_SESSIONS:
        return _of_session(decision, case, shops)
    return _of_event(decision, case, shops)


def _of_event(decision: Decision, case: Case, shops: Mapping[str, Shop]) -> Answer:
    incoming = case.incoming
    if decision.resolution is Resolution.REJECT:
        return _REJECTED
    if incoming is None:
        return Refusal("the bytes of its event are no longer kept, so nothing can be counted: reject it")
    if case.has_effect:
        return _had_effect(decision, case)
    match decision.resolution:
        case Resolution.REPROCESS:
            return _reprocessed(case, incoming, shops)
        case Resolution.LINK_ORDER:
            return _linked(decision, case, incoming)
        case Resolution.ACCEPT_METERED:
            return _metered_accepted(decision, case, incoming, shops)
        case Resolution.ACCEPT_MISMATCH:
            return _mismatch_accepted(decision, case, incoming)
        case Resolution.ACCEPT_SESSION | Resolution.ACCEPT_DIFFERENCE:
            return _nothing_to_accept(case, incoming)
    assert_never(decision.resolution)


def choices(reason: str, *, challenge_hash: str | None, order_id: str | None) -> list[Resolution]:
    """What is worth trying on a review of this reason, challenge and order."""
    if reason in OF_STATEMENTS:
        return [Resolution.ACCEPT_DIFFERENCE]
    if reason in OF_SESSIONS:
        return [Resolution.ACCEPT_SESSION, Resolution.REJECT]
    is_lost = challenge_hash is not None and order_id is None
    fitting = {
        Resolution.LINK_ORDER: is_lost and reason in (*_UNKNOWN_HASH, *_AT_THE_SHOP),
        Resolution.ACCEPT_METERED: reason == ReviewReason.METERED_INTEGRATION_REQUIRED and not is_lost,
        Resolution.ACCEPT_MISMATCH: reason in MISFITS and not is_lost,
        Resolution.REJECT: True,
        Resolution.REPROCESS: True,
    }
    return [resolution for resolution, fits in fitting.items() if fits]


def _of_statement(decision: Decision) -> Answer:
    """No event is behind it, so there is nothing to count; it closes by itself once the two sides agree."""
    if decision.resolution is Resolution.ACCEPT_DIFFERENCE:
        return Verdict(Ruling(Outcome.IGNORED, reason=ACCEPTED))
    return Refusal(
        "it is about a difference between statements and books, which no payment settles: explain it with "
        f"{Resolution.ACCEPT_DIFFERENCE}, or leave it open until they agree"
    )


_REJECTED: Final = Verdict(Ruling(Outcome.IGNORED, reason=REJECTED))


def _of_session(decision: Decision, case: Case, shops: Mapping[str, Shop]) -> Answer:
    """The platform's session says that it is paid; the sweep closes the review when the webhook comes."""
    session, order, is_reject = case.session, case.order, decision.resolution is Resolution.REJECT
    if decision.resolution not in (Resolution.ACCEPT_SESSION, Resolution.REJECT):
        return Refusal(
            f"no event is behind it, but a session that is paid: choose {Resolution.ACCEPT_SESSION} or "
            f"{Resolution.REJECT}, or have Siglume deliver its webhook again"
        )
    if session is None or order is None:
        return _REJECTED if is_reject else Refusal("its order is not in the books: reject it")
    if session.requirement_id is not None and session.requirement_id == order.requirement_id:
        return _webhook_came(f"order {order.order_id!r} is {order.state} by it, which no decision takes back")
    if is_reject:
        return _webhook_came("it is decided on in the review of its event") if case.is_heard else _REJECTED
    return _session_accepted(case, session, order, shops)


def _webhook_came(what: str) -> Refusal:
    return Refusal(
        f"its webhook came after all: {what}, and the next sweep closes this review (kessai reconcile sweep)"
    )


def _session_accepted(case: Case, session: StatedSession, order: Order, shops: Mapping[str, Shop]) -> Answer:
    merchant = shops.get(order.endpoint, Shop()).merchant
    if merchant is None:
        return Refusal(merchant_untold(order.endpoint))
    payable = Payable(order, merchant, case.challenge_hash, case.spent_on)
    differing = unfit(session, payable)
    if differing:
        return Refusal(
            f"order {order.order_id!r} cannot take it, for its {', '.join(differing)}: have Siglume deliver its "
            "webhook again, or send the money back and reject it"
        )
    next_ = following(session, payable)
    if isinstance(next_, Move):
        return Verdict(Ruling(Outcome.APPLIED, order=paid_by(session, order, next_), moved_from=order.state))
    reason = next_.reason if isinstance(next_, Review) else None
    outcome = Outcome.DUPLICATE if reason is None else Outcome.REVIEW
    return _applied(Ruling(outcome, reason=reason, spent_on=payable.spent_on if reason else None), order)


def _had_effect(decision: Decision, case: Case) -> Answer:
    if decision.resolution is Resolution.REPROCESS and case.reason is ReviewReason.EVENT_ID_CONFLICT:
        return Unchanged()
    return Refusal(
        "other bytes under its event id were counted, or are in the books already, and an event counts once: "
        f"choose {Resolution.REJECT}"
    )


def _reprocessed(case: Case, incoming: Incoming, shops: Mapping[str, Shop]) -> Answer:
    ruling = _rule(case, incoming, shops)
    return Unchanged() if ruling.review is case.reason else Verdict(ruling)


def _rule(case: Case, incoming: Incoming, shops: Mapping[str, Shop]) -> Ruling:
    """As a worker rules on the event when it comes for the first time."""
    return rule(incoming, case.order, case.batches, shops, spent_on=case.spent_on, is_rejected=case.is_rejected)


def _linked(decision: Decision, case: Case, incoming: Incoming) -> Answer:
    if not isinstance(incoming.confirmation, StandardSettled | MeteredUsageAccepted):
        return Refusal("its event confirms no payment, so it counts for no order: reprocess or reject it")
    if case.belongs_to is not None:
        return Refusal(
            f"its challenge belongs to order {case.belongs_to!r} already, and one payment pays one order: "
            f"{_instead(case, incoming)}"
        )
    if case.reason not in (*_UNKNOWN_HASH, *_AT_THE_SHOP) or case.order is None:
        return Refusal(f"{case.reason} is not about a missing order: {_instead(case, incoming)}")
    if case.reason in _AT_THE_SHOP and not decision.accept_mismatch:
        return Refusal(f"its event is {case.reason}", Remedy.ACCEPT_MISMATCH)
    fitting = rule_waiting(incoming, case.order, spent_on=case.spent_on)
    answer = _counted(fitting, incoming, case.order, accept=decision.accept_mismatch, spent_on=case.spent_on)
    if isinstance(answer, Verdict) and case.reason in _AT_THE_SHOP:
        return replace(answer, accepted=case.reason)
    return answer


def _metered_accepted(decision: Decision, case: Case, incoming: Incoming, shops: Mapping[str, Shop]) -> Answer:
    if case.reason is not ReviewReason.METERED_INTEGRATION_REQUIRED:
        return _nothing_to_accept(case, incoming)
    if case.order is None:
        return _no_order()
    endpoint = incoming.envelope.endpoint
    opted_in = replace(shops.get(endpoint, Shop()), allow_metered_payments=True)
    fitting = _rule(case, incoming, {endpoint: opted_in})
    return _counted(fitting, incoming, case.order, accept=decision.accept_mismatch, spent_on=case.spent_on)


def _mismatch_accepted(decision: Decision, case: Case, incoming: Incoming) -> Answer:
    if case.reason not in MISFITS:
        return _nothing_to_accept(case, incoming)
    if isinstance(incoming.confirmation, MeteredBatchSettled):  # of another merchant: it names no order
        return _applied(rule(incoming, None, case.batches, {}), None, accepted=case.reason)
    if not isinstance(incoming.confirmation, StandardSettled | MeteredUsageAccepted):
        return Refusal("its event is read as no payment today: reprocess it")
    if case.order is None:
        return _no_order()
    accepted = rule_accepted(incoming, case.order, spent_on=case.spent_on)
    is_also_rejected = case.is_rejected and case.reason is not ReviewReason.REJECTED_PAYMENT
    if is_also_rejected and accepted.outcome is Outcome.APPLIED and not decision.accept_mismatch:
        return _misfit(ReviewReason.REJECTED_PAYMENT, incoming, case.order)
    return _applied(accepted, case.order, accepted=case.reason)


def _counted(fitting: Ruling, incoming: Incoming, order: Order, *, accept: bool, spent_on: str | None) -> Answer:
    """A person says that the payment is for this order; `fitting` is the ruling that lets no misfit pass."""
    if fitting.review not in MISFITS or not isinstance(incoming.confirmation, StandardSettled | MeteredUsageAccepted):
        return _applied(fitting, order)
    accepted = rule_accepted(incoming, order, spent_on=spent_on)
    if accepted.outcome is not Outcome.APPLIED:
        return _applied(accepted, order)
    return Verdict(accepted, accepted=fitting.review) if accept else _misfit(fitting.review, incoming, order)


def _applied(ruling: Ruling, order: Order | None, accepted: ReviewReason | None = None) -> Answer:
    """A person's decision moves something or is refused: it never becomes another review behind their back."""
    if ruling.outcome is Outcome.APPLIED:
        return Verdict(ruling, accepted)
    if order is None:
        return Refusal(f"it is {ruling.reason or 'in the books already'}: reject it")
    if ruling.outcome is Outcome.DUPLICATE:
        return Refusal(f"order {order.order_id!r} is {order.state} by this very payment already: reject it")
    if ruling.spent_on is not None:
        return Refusal(
            f"its requirement has paid order {ruling.spent_on!r} already, and one payment pays one order: reject it"
        )
    paid_by = f" by requirement {order.requirement_id!r}" if order.requirement_id else ""
    return Refusal(
        f"order {order.order_id!r} is {order.state}{paid_by} already, and counting this too would be "
        f"{ruling.reason}: send the money back and reject it"
    )


def _misfit(misfit: ReviewReason, incoming: Incoming, order: Order) -> Refusal:
    return Refusal(f"{misfit}: {difference(misfit, incoming, order)}", Remedy.ACCEPT_MISMATCH)


def _nothing_to_accept(case: Case, incoming: Incoming) -> Refusal:
    return Refusal(f"{case.reason} leaves nothing of the kind to accept: {_instead(case, incoming)}")


def _no_order() -> Refusal:
    return Refusal("no order has its challenge: register the order, or resolve it with link-order")


def _instead(case: Case, incoming: Incoming) -> str:
    """The resolutions to choose instead; for `link-order` the order of a case is only what the person named."""
    order_id = case.belongs_to or (case.order.order_id if case.order else None)
    return f"choose {' or '.join(choices(case.reason, challenge_hash=incoming.challenge_hash, order_id=order_id))}"
