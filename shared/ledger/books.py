"""What the books say, as values: orders, claims of events, settlement batches."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, Self, TypeAlias
from uuid import UUID

from shared.ledger.transitions import OrderState
from shared.sdrp.money import Currency


class Row(Protocol):
    """A row of a query: values by column name."""

    def __getitem__(self, column: str, /) -> Any:  # noqa: ANN401 - what a column holds is the query's affair
        """The value of a column."""


class Outcome(StrEnum):
    """How an accepted event ended; exactly one each."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    REVIEW = "review"
    DEAD_LETTER = "dead_letter"

    __hash__ = str.__hash__  # an enum's own is a Python call, several for every event


@dataclass(frozen=True, slots=True)
class Shop:
    """What the merchant decided for an endpoint."""

    merchant: str | None = None
    """The merchant key that events should name; None leaves it unchecked."""
    allow_metered_payments: bool = False


class Order(NamedTuple):
    order_id: str
    endpoint: str
    amount_minor: int
    currency: Currency
    state: OrderState
    requirement_id: str | None = None
    chain_receipt_id: str | None = None
    paid_at: datetime | None = None

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(
            row["order_id"],
            row["endpoint"],
            row["amount_minor"],
            Currency(row["currency"]),
            OrderState(row["state"]),
            row["requirement_id"],
            row["chain_receipt_id"],
            row["paid_at"],
        )


class Claim(NamedTuple):
    """An event id that the books already know."""

    receipt_id: UUID
    digest: bytes
    """Of the bytes that came first under it."""
    outcome: Outcome

    @property
    def has_effect(self) -> bool:
        """The event has had its effect, or the books held it already: no bytes under this id have another."""
        return self.outcome in (Outcome.APPLIED, Outcome.DUPLICATE)


@dataclass(frozen=True, slots=True)
class Batch:
    """A settled micro or nano batch."""

    settlement_batch_id: str
    pricing_band: str
    chain_receipt_id: str
    usage_event_digest: str
    settled_at: datetime | None
    currency: str | None = None
    gross: Decimal | None = None
    """Minor units; None where its event did not say, or not readably."""
    usage_count: int | None = None


ReviewKey: TypeAlias = tuple[str, str, str, bytes]
"""Endpoint, event id, reason, and digest of the bytes: a review is opened once for these."""


class OpenReview(NamedTuple):
    """What an event waits in, as far as ruling on it anew needs to know."""

    review_id: int
    known: frozenset[str]
    """Reasons for which these bytes were in review before, this one's among them: none is asked twice."""


@dataclass(frozen=True, slots=True)
class Books:
    """The rows that one batch of events touches, locked where they may change."""

    claims: Mapping[tuple[str, str], Claim]
    orders: Mapping[str, Order]
    """By challenge hash."""
    batches: Mapping[str, Batch]
    """By settlement batch id."""
    reviews: Mapping[tuple[str, str], OpenReview] = field(default_factory=dict)
    """By event, of those that may be ruled on anew."""
    spent: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The order that each payment requirement has paid, as far as it was looked for."""
    rejected: Set[str] = frozenset()
    """Challenge hashes whose payment a person has rejected before its webhook came."""
    decided: Set[ReviewKey] = frozenset()
    """Reviews of these events that are closed, as far as they were looked for."""
