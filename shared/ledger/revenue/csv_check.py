"""Does the CSV export of a batch say what the books say of it? Row by row, and in sum."""

from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shared.errors import KessaiError
from shared.ledger.database import Connection
from shared.ledger.revenue.batches import shown
from shared.ledger.revenue.money import NOTHING, Sums, sums_json
from shared.ledger.revenue.statements import find_batches, find_usage
from shared.ledger.revenue.usage import StatedUsage
from shared.sdrp.api.usage import ProviderUsageEvent

COMPARED: Final = (
    *("settlement_batch_id", "plan_type", "currency", "token_symbol", "provider_gross_amount_minor"),
    *("protocol_fee_minor", "provider_receivable_minor"),
)
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


@dataclass(slots=True)
class CsvCheck:
    settlement_batch_id: str
    batch: Sums
    """As the batch states itself; `payments` is 0 where it does not say how many it holds."""
    file: Sums = NOTHING
    books: Sums = NOTHING
    differing: int = 0
    rows: list[RowDiffers] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        counts = self.batch.payments in (0, self.file.payments)
        return not self.differing and self.file == self.books and counts and self.file[1:] == self.batch[1:]

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
            **{side: sums_json(getattr(self, side)) for side in ("file", "books", "batch")},
        }


async def check_csv(
    connection: Connection, batch_id: str, pages: AsyncIterable[Sequence[ProviderUsageEvent]]
) -> CsvCheck:
    """Compare a file, some rows at a time. Raises UnknownBatch and what reading the file raises."""
    batch = (await find_batches(connection, [batch_id])).get(batch_id)
    if batch is None:
        raise UnknownBatch(batch_id)
    amounts = (batch.provider_gross_amount_minor, batch.protocol_fee_minor, batch.provider_receivable_minor)
    check = CsvCheck(batch_id, Sums(batch.usage_event_count or 0, *(each or NOTHING.gross for each in amounts)))
    seen: set[str] = set()
    async for page in pages:
        known = await find_usage(connection, [event.metered_usage_id for event in page])
        for event in page:
            _compare(check, event, known.get(event.metered_usage_id), is_again=event.metered_usage_id in seen)
            seen.add(event.metered_usage_id)
    await _add_books(connection, check, seen)
    return check


def _compare(check: CsvCheck, event: ProviderUsageEvent, known: StatedUsage | None, *, is_again: bool) -> None:
    check.file = check.file.plus(_sums(event))
    usage_id = event.metered_usage_id
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
        check.books = check.books.plus(_sums(row))
        if row.metered_usage_id not in seen:
            check.add(row.metered_usage_id, "row", None, "there")


def _sums(row: ProviderUsageEvent | StatedUsage) -> Sums:
    return Sums(1, row.provider_gross_amount_minor, row.protocol_fee_minor, row.provider_receivable_minor)
