"""Where do the platform and the books disagree? Both sides of a review, field by field."""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.ledger.books import Order
from shared.ledger.incoming import Incoming


@dataclass(frozen=True, slots=True)
class Said:
    """What each side says of one field; None when it says nothing."""

    field: str
    theirs: object
    ours: object

    @property
    def differs(self) -> bool:
        """Where both say something; a number may come as text, a currency in any case."""
        both = self.theirs is not None and self.ours is not None
        return both and str(self.theirs).casefold() != str(self.ours).casefold()


@dataclass(frozen=True, slots=True)
class Sides:
    """The platform's side is an event, a statement or a session; ours an order, or what the books hold."""

    theirs: str
    """What stands over their column."""
    ours: str | None
    """None where the books hold nothing to compare with."""
    said: Sequence[Said]


def sides(evidence: Mapping[str, Any]) -> Sides:
    """What a review keeps, side by side."""
    if "statement" in evidence:
        statement, books = evidence["statement"], evidence["books"]
        return Sides("the statement says", "the books say", beside(statement, books))
    if "session" in evidence:
        return Sides("the session says", "the order says", beside(evidence["session"], evidence["order"]))
    order = evidence.get("order")
    said = beside(evidence.get("event") or {}, order)
    return Sides("the event says", None if order is None else "the order says", said)


class PlatformSays(NamedTuple):
    """What the platform said when it was asked about a review."""

    asked_at: str
    parts: Sequence[tuple[str, Sides]]
    """What it is about (a session, usage, a batch), and the sides of it."""
    nothing: str | None
    """In words, where it said nothing."""


def platform_says(evidence: Mapping[str, Any]) -> PlatformSays | None:
    """None where it was not asked yet."""
    told = evidence.get("platform")
    if told is None:
        return None
    parts = []
    if told.get("session") is not None:
        said = beside(told["session"], told["order"])
        parts.append(("session", Sides("the platform says", "the order says", said)))
    listed = [(name, told[name]) for name in ("usage", "batch") if told.get(name) is not None]
    parts += [(name, Sides("the statement says", None, beside(row, None))) for name, row in listed]
    unknown = told.get("unknown_session_id")
    nothing = f"it knows no session {unknown}" if unknown else None if parts else "nothing of ours leads to it"
    return PlatformSays(told["asked_at"][:19].replace("T", " ") + "Z", parts, nothing)


def beside(theirs: Mapping[str, object], ours: Mapping[str, object] | None) -> list[Said]:
    """What differs comes first, then what both speak of, then what one says alone."""
    known = ours or {}
    said = [Said(name, theirs.get(name), known.get(name)) for name in dict.fromkeys((*theirs, *known))]
    told = [each for each in said if each.theirs is not None or each.ours is not None]
    return sorted(
        told, key=lambda each: (not each.differs, each.theirs is None or each.ours is None, each.theirs is None)
    )


def both_sides(incoming: Incoming, order: Order | None, *, spent_on: str | None = None) -> dict[str, Any]:
    """What the event says and what the order says; `spent_on` is the order that its requirement has paid already."""
    said = {name: _shown(incoming.event.data[name]) for name in _EVIDENCE if name in incoming.event.data}
    if incoming.occurred_at is not None:
        said["occurred_at"] = incoming.occurred_at.isoformat()
    return {
        "event": said if spent_on is None else said | {"requirement_has_paid": spent_on},
        "order": None
        if order is None
        else {
            "order_id": order.order_id,
            "endpoint": order.endpoint,
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "state": order.state,
            "requirement_id": order.requirement_id,
            "chain_receipt_id": order.chain_receipt_id,
        },
    }


_EVIDENCE = (
    *("mode", "pricing_band", "settlement_cadence", "finality", "settlement_status"),
    *("merchant", "amount_minor", "currency", "token_symbol", "requirement_id", "direct_payment_requirement_id"),
    *("challenge_hash", "chain_receipt_id", "settlement_batch_id", "usage_event_digest", "settled_at"),
)


def _shown(value: object) -> object:
    """A payload's value as a person may see it: short, not deep, and text that jsonb takes."""
    if isinstance(value, bool | int | None):
        return value if value is None or isinstance(value, bool) or abs(value) < 2**53 else str(value)
    text = value if isinstance(value, str) else f"({type(value).__name__}) {reprlib.repr(value)}"
    return text[:200].replace("\0", "\N{REPLACEMENT CHARACTER}")
