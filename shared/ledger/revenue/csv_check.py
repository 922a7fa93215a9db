"""Does the CSV export of a batch say what the books say of it? Row by row, and in sum."""

from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

from shared.errors import KessaiError
from shared.ledger.database import Connection
from shared.ledger.revenue.batches import StatedBatch, shown
from shared.ledger.revenue.differences import Unit
from shared.ledger.revenue.money import NOTHING, Sums, plain, sums_json
from shared.ledger.revenue.statements import find_batches, find_usage
from shared.ledger.revenue.usage import StatedUsage
from shared.sdrp.api.usage import ProviderUsageEvent

COMPARED: Final = (
    *("settlement_batch_id", "plan_type", "currency", "token_symbol", "provider_gross_amount_minor"),
    *("protocol_fee_minor", "provider_receivable_minor"),
)
OTHER_UNIT: Final = "currency of its batch"
AT_MOST: Final = 1000
"""Rows that are told by name; what differs more is only counted."""


class UnknownBatch(KessaiError):
    def __init__(self, batch_id: str) -> None:
        super().__init__(
            f"the books hold no statement of batch {batch_id!r}: check the id, or sync the statements first"
        )


@dataclass(frozen=True, slots=True)
class RowDiffers:
    """One row that file and books have differently; None on the side that has it not."""

    metered_usage_id: str
    field: str
    file: object
    books: object


class Stated(NamedTuple):
    """What a batch says of itself, in the order of `Sums`; None where it does not say."""

    payments: int | None
    gross: Decimal | None
    fee: Decimal | None
    receivable: Decimal | None

    def fits(self, sums: Sums) -> bool:
        return all(said in (None, found) for said, found in zip(self, sums, strict=True))

    def as_json(self) -> dict[str, Any]:
        return {"payments": self.payments} | {
            f"{name}_minor": None if amount is None else plain(amount)
            for name, amount in zip(self._fields[1:], self[1:], strict=True)
        }


@dataclass(slots=True)
class CsvCheck:
    settlement_batch_id: str
    batch: Stated
    unit: Unit
    """Of the sums; rows of another are told and added to nothing."""
    file: Sums = NOTHING
    books: Sums = NOTHING
    differing: int = 0
    rows: list[RowDiffers] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        return not self.differing and self.file == self.books and self.batch.fits(self.file)

    def takes(self, row: ProviderUsageEvent | StatedUsage) -> bool:
        """Whether it may be added up; where the batch does not say of what it is, its first row does."""
        self.unit = Unit(self.unit.currency or row.currency, self.unit.token_symbol or row.token_symbol)
        return self.unit == (row.currency, row.token_symbol)

    def add(self, usage_id: str, name: str, file: object, books: object) -> None:
        self.differing += 1
        if len(self.rows) < AT_MOST:
            self.rows.append(RowDiffers(usage_id, name, shown(file), shown(books)))

    def as_json(self) -> dict[str, Any]:
        """Amounts are text."""
        return {
            "settlement_batch_id": self.settlement_batch_id,
            "agrees": self.agrees,
            "differing": self.differing,
            "rows": self.rows,
            "file": sums_json(self.file),
            "books": sums_json(self.books),
            "batch": self.batch.as_json(),
        }


async def endpoint_of(connection: Connection, batch_id: str) -> str:
    """Whose account states the batch. Raises UnknownBatch."""
    return (await _batch(connection, batch_id)).endpoint


async def check_csv(
    connection: Connection, batch_id: str, pages: AsyncIterable[Sequence[ProviderUsageEvent]]
) -> CsvCheck:
    """Compare a file, some rows at a time. Raises UnknownBatch and what reading the file raises."""
    batch = await _batch(connection, batch_id)
    amounts = (batch.provider_gross_amount_minor, batch.protocol_fee_minor, batch.provider_receivable_minor)
    check = CsvCheck(batch_id, Stated(batch.usage_event_count, *amounts), Unit(batch.currency, batch.token_symbol))
    seen: set[str] = set()
    async for page in pages:
        known = await find_usage(connection, [event.metered_usage_id for event in page])
        for event in page:
            _compare(check, event, known.get(event.metered_usage_id), is_again=event.metered_usage_id in seen)
            seen.add(event.metered_usage_id)
    await _add_books(connection, check, seen)
    return check


async def _batch(connection: Connection, batch_id: str) -> StatedBatch:
    batch = (await find_batches(connection, [batch_id])).get(batch_id)
    if batch is None:
        raise UnknownBatch(batch_id)
    return batch


def _compare(check: CsvCheck, event: ProviderUsageEvent, known: StatedUsage | None, *, is_again: bool) -> None:
    usage_id = event.metered_usage_id
    if check.takes(event):
        check.file = check.file.plus(_sums(event))
    else:
        check.add(usage_id, OTHER_UNIT, _unit(event), _unit(check.unit))
    if is_again:
        check.add(usage_id, "row", "twice", "once")
    elif known is None:
        check.add(usage_id, "row", "there", None)
    else:
        for name in COMPARED:
            said, held = getattr(event, name), getattr(known, name)
            if said != held:
                check.add(usage_id, name, said, held)


async def _add_books(connection: Connection, check: CsvCheck, seen: set[str]) -> None:
    rows = await connection.fetch(
        f"SELECT {', '.join(StatedUsage._fields)} FROM kessai.statement_usage WHERE settlement_batch_id = $1",
        check.settlement_batch_id,
    )
    for row in map(StatedUsage._make, rows):
        if check.takes(row):
            check.books = check.books.plus(_sums(row))
        if row.metered_usage_id not in seen:
            check.add(row.metered_usage_id, "row", None, "there")


def _sums(row: ProviderUsageEvent | StatedUsage) -> Sums:
    return Sums(1, row.provider_gross_amount_minor, row.protocol_fee_minor, row.provider_receivable_minor)


def _unit(of: ProviderUsageEvent | Unit) -> str:
    return f"{of.currency} as {of.token_symbol}"
