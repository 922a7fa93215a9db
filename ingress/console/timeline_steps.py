"""How does a page show one step of an order's timeline? Pure: makes its headline, tone and details."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ingress.console.formats import amount, link, when, words
from shared.ledger.timeline import Step


@dataclass(frozen=True, slots=True)
class Detail:
    name: str
    value: object
    address: str | None = None
    """The address of the thing that it names."""


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    at: datetime
    after: float | None
    """Seconds since the step before."""
    headline: str
    tone: str
    who: str | None
    note: str | None
    """The text of a note."""
    details: list[Detail]


HEADLINES: Final = {
    "order.registered": "Registered",
    "order.changed": "Amount changed",
    "checkout.created": "Challenge for the buyer",
    "checkout.begun": "Payment started",
    "checkout.opened": "Payment can be made",
    "checkout.ended": "Payment attempt over",
    "webhook.received": "Webhook received",
    "event.applied": "Event applied",
    "event.review": "Event needs a review",
    "event.ignored": "Event ignored",
    "event.duplicate": "Event received before",
    "event.dead_letter": "Event could not be applied",
    "dead_letter.kept": "Kept as a dead letter",
    "review.opened": "Review opened",
    "review.closed": "Review closed",
    "fact.decided": "Fact for your systems recorded",
    "fact.published": "Fact sent to your systems",
    "note": "Note",
}
TONES: Final = {
    "order.moved": "good",
    "event.applied": "good",
    "fact.published": "good",
    "event.review": "wait",
    "review.opened": "wait",
    "event.dead_letter": "bad",
    "dead_letter.kept": "bad",
}
LINKS: Final[Mapping[str, Callable[[Any], str]]] = {
    "event_id": lambda value: link("/find", q=value),
    "review_id": lambda value: f"/reviews/{value}",
    "dead_letter_id": lambda value: f"/dead-letters/{value}",
    "replay_id": lambda value: f"/replays/{value}",
}
HIDDEN: Final = frozenset({"subject", "note_id", "fact_id", "from", "to", "currency", "old_currency"})
"""Fields that the headline already shows, or that nobody needs."""


def timeline_entry(step: Step) -> TimelineEntry:
    return TimelineEntry(
        at=step.at,
        after=step.after,
        headline=_headline(step),
        tone=TONES.get(step.what, "quiet"),
        who=step.who,
        note=str(step.detail["note"]) if step.what == "note" else None,
        details=_details(step.detail),
    )


def _headline(step: Step) -> str:
    if step.what == "order.moved":
        return f"{words(str(step.detail['from']))} → {words(str(step.detail['to']))}"
    if step.what in HEADLINES:
        return HEADLINES[step.what]
    thing, _, act = step.what.partition(".")
    return f"{words(thing).capitalize()} {words(act)}"


def _details(detail: Mapping[str, Any]) -> list[Detail]:
    return [
        Detail(_name(name), _value(name, value, detail), LINKS[name](value) if name in LINKS else None)
        for name, value in detail.items()
        if value is not None and name not in HIDDEN and name != "note"
    ]


def _name(name: str) -> str:
    return words(name.removesuffix("_id").removesuffix("_minor"))


def _value(name: str, value: Any, detail: Mapping[str, Any]) -> object:  # noqa: ANN401 - whatever a step carries
    if name.endswith("amount_minor"):
        return amount(value, str(detail.get(name.replace("amount_minor", "currency"))))
    if isinstance(value, datetime):
        return when(value)
    return words(value) if name in {"reason", "outcome", "kind", "resolution"} and isinstance(value, str) else value
