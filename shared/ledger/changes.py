"""What does a batch come to? The ruling on each of its events, and everything that one transaction will write."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.broker.envelope import ReplayMark
from shared.ledger.books import Batch, OpenReview, Order, Outcome, ReviewKey
from shared.ledger.facts import OutboxFact
from shared.ledger.incoming import Incoming
from shared.ledger.transitions import OrderState, ReviewReason


class Ruling(NamedTuple):
    """What one event does: its outcome and at most one effect."""

    outcome: Outcome
    reason: str | None = None
    order: Order | None = None
    """The order it names; as it stands afterwards when it moved."""
    moved_from: OrderState | None = None
    batch: Batch | None = None
    """A batch that it settles."""
    review: ReviewReason | None = None
    spent_on: str | None = None
    """Another order, which its requirement has paid already."""


class ClaimRow(NamedTuple):
    incoming: Incoming
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class ReviewRow:
    incoming: Incoming
    reason: ReviewReason
    order: Order | None
    told: OutboxFact
    spent_on: str | None = None

    @property
    def key(self) -> ReviewKey:
        return *self.incoming.key, str(self.reason), self.incoming.digest


class Tally(NamedTuple):
    deliveries: int
    longest_wait: float
    """Seconds from receipt."""


@dataclass(slots=True)
class Changes:
    """Everything one transaction will write, in the order in which it was decided."""

    claims: dict[tuple[str, str], ClaimRow] = field(default_factory=dict)
    repeats: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Further deliveries of an event that the books already hold."""
    archive: list[Incoming] = field(default_factory=list)
    conflicts: list[Incoming] = field(default_factory=list)
    """To be archived, too: other bytes under an event id that the books hold already."""
    orders: dict[str, Order] = field(default_factory=dict)
    moves: list[ClaimRow] = field(default_factory=list)
    spent: dict[tuple[str, str], str] = field(default_factory=dict)
    """The order that each requirement of a move has paid."""
    batches: list[ClaimRow] = field(default_factory=list)
    reviews: list[ReviewRow] = field(default_factory=list)
    told: list[OutboxFact] = field(default_factory=list)
    """What other systems must hear, in order."""
    outcomes: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """Deliveries by (endpoint, kind, outcome, reason), for the metrics."""
    tallies: dict[tuple[str, str, str, str], Tally] = field(default_factory=dict)
    """Deliveries by (endpoint, kind, outcome, key fingerprint), for the charts."""
    no_longer_dead: list[Incoming] = field(default_factory=list)
    """Events that have another outcome now, whose dead letters are resolved."""
    reruled: list[tuple[OpenReview, ClaimRow]] = field(default_factory=list)
    """Reviews that a new ruling closes."""
    replayed: dict[ReplayMark, Ruling] = field(default_factory=dict)
    """What became of each item of a replay."""
