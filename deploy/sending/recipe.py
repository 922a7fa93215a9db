"""How is each event of a run made? A kind, the order it pays, and what is changed by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy.sending.events import build, dump, pay, set_value
from deploy.sending.kinds import Kind


@dataclass(frozen=True, slots=True)
class Terms:
    """What an order expects of its payment."""

    amount_minor: int
    currency: str
    challenge_hash: str


@dataclass(frozen=True, slots=True)
class Recipe:
    kind: Kind
    settings: tuple[tuple[str, object], ...] = ()
    """Paths and values to set, in order."""
    terms: Terms | None = None
    event_id: str | None = None
    merchant: str | None = None

    def event(self, *, key: str, at: datetime) -> dict[str, Any]:
        """Raises CannotBuild."""
        event = build(self.kind, key=key, at=at, merchant=self.merchant)
        if self.terms is not None:
            pay(
                event,
                amount_minor=self.terms.amount_minor,
                currency=self.terms.currency,
                challenge_hash=self.terms.challenge_hash,
            )
        if self.event_id is not None:
            event["id"] = self.event_id
        for path, value in self.settings:
            set_value(event, path, value)
        return event

    def bodies(self, keys: Callable[[], str], clock: Callable[[], datetime]) -> Callable[[], bytes]:
        """Makes one body at each call."""
        return lambda: dump(self.event(key=keys(), at=clock()))
