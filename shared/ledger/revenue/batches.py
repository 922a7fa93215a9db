"""One settlement batch as the statements have told it so far, and what one more statement makes of it. Pure.

A batch that is settled or given up stays so. What a later statement says against it is kept beside it as `disputed`,
and becomes a review; none of its orders ends until the platform agrees again or a person accepts the difference.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, Self

import orjson

from shared.ledger.books import Row
from shared.ledger.revenue.money import FINAL, Money, money_of, plain
from shared.sdrp.api.batches import SettlementBatch

_AS_STATED: Final = (
    *("settlement_batch_id", "status", "plan_type", "settlement_cadence", "currency", "token_symbol"),
    *("buyer_period_ref", "provider_gross_amount_minor", "protocol_fee_minor", "provider_receivable_minor"),
    *("buyer_debit_minor", "rounding_delta_minor", "usage_event_count", "settlement_trigger"),
    *("settlement_threshold_minor", "total_unsettled_exposure_minor", "threshold_reached_at", "period_start"),
    *("period_end", "close_at", "not_before_attempt_at", "attempt_count", "next_attempt_at", "chain_receipt_id"),
    *("usage_event_digest", "settled_at", "terminal_marked_at", "terminal_reason_code"),
)
"""Fields that go by one name in statements and books."""
ESSENTIAL: Final = (
    *("status", "chain_receipt_id", "usage_event_digest", "provider_gross_amount_minor", "protocol_fee_minor"),
    *("provider_receivable_minor", "currency", "plan_type", "usage_event_count"),
)
"""What a final batch must not be told otherwise."""


class StatedBatch(NamedTuple):
    """A row of `kessai.statement_batches`; its columns say what they mean."""

    settlement_batch_id: str
    endpoint: str
    money: Money
    status: str
    plan_type: str
    settlement_cadence: str | None
    currency: str | None
    token_symbol: str | None
    buyer_period_ref: str | None
    provider_gross_amount_minor: Decimal | None
    protocol_fee_minor: Decimal | None
    provider_receivable_minor: Decimal | None
    buyer_debit_minor: Decimal | None
    rounding_delta_minor: Decimal | None
    usage_event_count: int | None
    settlement_trigger: str | None
    settlement_threshold_minor: Decimal | None
    total_unsettled_exposure_minor: Decimal | None
    threshold_reached_at: datetime | None
    period_start: datetime | None
    period_end: datetime | None
    close_at: datetime | None
    not_before_attempt_at: datetime | None
    attempt_count: int | None
    next_attempt_at: datetime | None
    failure_reason_code: str | None
    failure_reason_label: str | None
    failure_reason_help: str | None
    support_reference: str | None
    chain_receipt_id: str | None
    usage_event_digest: str | None
    settled_at: datetime | None
    terminal_marked_at: datetime | None
    terminal_reason_code: str | None
    disputed: str | None
    """JSON of what a statement says of it that the books do not take: field → value."""
    stated_at: datetime
    first_stated_at: datetime
    dated_at: datetime
    orders_due: bool

    @property
    def is_final(self) -> bool:
        return self.money in FINAL

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """A row that has every column."""
        values = {name: row[name] for name in cls._fields}
        return cls(**values | {"money": Money(values["money"])})

    @classmethod
    def of(cls, batch: SettlementBatch, *, endpoint: str, stated_at: datetime) -> Self:
        """As it is stated for the first time, by a statement asked for at that time."""
        failure, money = batch.failure, money_of(batch.status, batch.chain_receipt_id)
        return cls(
            **{name: getattr(batch, name) for name in _AS_STATED},
            endpoint=endpoint,
            money=money,
            failure_reason_code=failure.reason_code if failure else None,
            failure_reason_label=failure.reason_label if failure else None,
            failure_reason_help=failure.reason_help if failure else None,
            support_reference=failure.support_reference if failure else None,
            disputed=None,
            stated_at=stated_at,
            first_stated_at=stated_at,
            dated_at=batch.settled_at or batch.terminal_marked_at or batch.close_at or stated_at,
            orders_due=money in FINAL,
        )


def after(known: StatedBatch | None, stated: StatedBatch) -> StatedBatch:
    """What the books hold once this has been stated, too; `known` itself when it changes nothing."""
    if known is None:
        return stated
    is_stale = stated.stated_at < known.stated_at
    if known.is_final:
        disputed = known.disputed if is_stale else against(known, stated, ESSENTIAL)
        return known if disputed == known.disputed else known._replace(disputed=disputed, orders_due=True)
    if is_stale and not stated.is_final:
        return known
    disputed = against(stated, known, ESSENTIAL) if is_stale else None
    fresh = stated._replace(
        endpoint=known.endpoint,
        first_stated_at=known.first_stated_at,
        dated_at=stated.settled_at or stated.terminal_marked_at or stated.close_at or known.first_stated_at,
        disputed=disputed,
    )
    return known if fresh._replace(stated_at=known.stated_at) == known else fresh


def against(held: NamedTuple, said: NamedTuple, names: tuple[str, ...]) -> str | None:
    """JSON of the fields in which `said` contradicts what is held; what it does not state contradicts nothing."""
    ours, theirs = held._asdict(), said._asdict()
    differing = {name: shown(theirs[name]) for name in names if _contradicts(ours, theirs, name)}
    return orjson.dumps(differing, option=orjson.OPT_SORT_KEYS).decode() if differing else None


def _contradicts(ours: Mapping[str, Any], theirs: Mapping[str, Any], name: str) -> bool:
    said = theirs[name]
    return said is not None and said != ours[name]


def shown(value: object) -> object:
    """An amount is plain text where people compare it."""
    return plain(value) if isinstance(value, Decimal) else value
