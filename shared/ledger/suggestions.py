"""What does the platform's evidence settle? Pure: a review, and what was asked for it, in; a decision or nothing out.

Why so little: see deploy/decisions/0009-evidence.md. Nothing is suggested where an amount differs.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from shared.ledger.decisions import Decision, Resolution
from shared.ledger.hosted_sessions import Payable, StatedSession, following, unfit
from shared.ledger.transitions import Move, ReviewReason
from shared.sdrp.classify import Confirmation, StandardSettled


class ReviewPolicy(StrEnum):
    """What becomes of a review that the platform's evidence settles."""

    OFF = "off"
    """The evidence is attached, and that is all."""
    SUGGEST = "suggest"
    """A decision is written beside it, which a person may take."""
    ACT = "act"
    """It is decided, where it is one of `SETTLED_BY_EVIDENCE` and no second person is asked for."""


SETTLED_BY_EVIDENCE: Final = frozenset({ReviewReason.UNKNOWN_CHALLENGE_HASH})
"""Reasons of reviews that a worker may decide on: two statements of the platform name the order, and all fits."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    resolution: Resolution
    why: str
    order_id: str | None = None

    @property
    def decision(self) -> Decision:
        return Decision(self.resolution, self.why, self.order_id)

    @classmethod
    def kept(cls, row: dict[str, Any]) -> Self:
        return cls(Resolution(row["resolution"]), row["why"], row["order_id"])


@dataclass(frozen=True, slots=True)
class Asked:
    """A session of ours that the platform was asked about, by the id that we keep, and whose it is."""

    session: StatedSession
    payable: Payable
    """Its order."""


def is_of_payment(session: StatedSession, payment: StandardSettled) -> bool:
    """Whether the session's payment is the very one that the event tells of."""
    return (session.challenge_hash, session.requirement_id, session.chain_receipt_id) == (
        *(payment.challenge_hash, payment.requirement_id, payment.chain_receipt_id),
    )


def suggest(reason: ReviewReason, confirmation: Confirmation | None, asked: Asked | None) -> Suggestion | None:
    """What the evidence settles, if it does."""
    if asked is None or unfit(asked.session, asked.payable):
        return None
    if not isinstance(following(asked.session, asked.payable), Move):
        return None
    session, order = asked.session, asked.payable.order
    if reason is ReviewReason.MISSED_WEBHOOK:
        why = f"Siglume says that session {session.session_id} is settled, and it fits order {order.order_id}"
        return Suggestion(Resolution.ACCEPT_SESSION, why)
    if reason is not ReviewReason.UNKNOWN_CHALLENGE_HASH or not isinstance(confirmation, StandardSettled):
        return None
    is_same_money = confirmation.amount == order.amount_minor and confirmation.currency == order.currency
    if not is_same_money or not is_of_payment(session, confirmation):
        return None
    why = (
        f"Siglume says that requirement {session.requirement_id} paid session {session.session_id}, which Kessai "
        f"opened for order {order.order_id}; challenge, receipt, amount, currency and merchant are the same"
    )
    return Suggestion(Resolution.LINK_ORDER, why, order.order_id)
