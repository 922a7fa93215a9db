"""One metered usage as the statements have told it so far, and what one more statement makes of it. Pure.

What was paid never changes: a statement that says otherwise later is kept beside the row as `disputed`, and becomes a
review. Where it stands, and in which batch, does change until that batch is final.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Final, NamedTuple, Self

from shared.ledger.books import Row
from shared.ledger.revenue.batches import against
from shared.sdrp.api.usage import ProviderUsageEvent

_AS_STATED: Final = (
    *("metered_usage_id", "plan_type", "status", "currency", "token_symbol", "provider_gross_amount_minor"),
    *("protocol_fee_minor", "provider_receivable_minor", "buyer_debit_minor", "rounding_delta_minor"),
    *("settlement_cadence", "settlement_batch_id", "listing_id", "capability_key", "operation_key", "period_start"),
    *("period_end", "buyer_period_ref", "requirement_id", "challenge_hash"),
)
_as_stated = attrgetter(*_AS_STATED)
ESSENTIAL: Final = (
    *("plan_type", "currency", "token_symbol", "provider_gross_amount_minor", "protocol_fee_minor"),
    *("provider_receivable_minor", "requirement_id", "challenge_hash"),
)
"""What was paid, by whom and for what."""


class StatedUsage(NamedTuple):
    """A row of `kessai.statement_usage`; its columns say what they mean. What is as stated comes first."""

    metered_usage_id: str
    plan_type: str
    status: str
    currency: str
    token_symbol: str
    provider_gross_amount_minor: Decimal
    protocol_fee_minor: Decimal
    provider_receivable_minor: Decimal
    buyer_debit_minor: Decimal | None
    rounding_delta_minor: Decimal | None
    settlement_cadence: str | None
    settlement_batch_id: str | None
    listing_id: str | None
    capability_key: str | None
    operation_key: str | None
    period_start: datetime | None
    period_end: datetime | None
    buyer_period_ref: str | None
    requirement_id: str | None
    challenge_hash: str | None
    endpoint: str
    created_at: datetime
    disputed: str | None
    """JSON of what a statement says of it that the books do not take: field → value."""
    stated_at: datetime
    paired_with: str | None
    """Requirement of the accepted usage that it is."""

    @property
    def is_linked(self) -> bool:
        """Whether it names the payment that it is; one that does not is never guessed onto an order."""
        return self.requirement_id is not None or self.challenge_hash is not None

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """A row that has every column."""
        return cls(*(row[name] for name in cls._fields))

    @classmethod
    def of(cls, event: ProviderUsageEvent, *, endpoint: str, stated_at: datetime) -> Self:
        """As it is stated for the first time, by a statement asked for at that time."""
        created_at = event.created_at or event.period_start or stated_at
        return cls._make((*_as_stated(event), endpoint, created_at, None, stated_at, None))


def after(known: StatedUsage | None, stated: StatedUsage, is_final: Callable[[str], bool]) -> StatedUsage:
    """What the books hold once this has been stated, too; `known` itself when it changes nothing.

    `is_final` says of a batch whether it is settled or given up: what it holds stays in it.
    """
    if known is None:
        return stated
    if stated.stated_at < known.stated_at:
        return known
    linked = known._replace(
        requirement_id=known.requirement_id or stated.requirement_id,
        challenge_hash=known.challenge_hash or stated.challenge_hash,
    )
    stays = known.settlement_batch_id is not None and is_final(known.settlement_batch_id)
    fresh = stated._replace(
        **{name: getattr(linked, name) for name in (*ESSENTIAL, "endpoint", "created_at", "paired_with")},
        settlement_batch_id=known.settlement_batch_id if stays else stated.settlement_batch_id,
        disputed=against(linked, stated, (*ESSENTIAL, "settlement_batch_id") if stays else ESSENTIAL),
    )
    return known if fresh._replace(stated_at=known.stated_at) == known else fresh
