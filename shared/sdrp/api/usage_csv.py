"""What is in the CSV export of a settlement batch? It is read as a stream, in constant memory.

Columns go by their names in the first line; columns that we do not know are ignored. The platform ends every line, the
last one included: without that end the export is taken for cut off, since nothing else would show it.
"""

import codecs
import csv
import io
from collections.abc import Iterator

from shared.sdrp.api.errors import TruncatedCsv, UnusableAnswer
from shared.sdrp.api.records import Record
from shared.sdrp.api.usage import GROSS, ProviderUsageEvent

COLUMNS = (
    "metered_usage_id",
    "created_at",
    "plan_type",
    "settlement_cadence",
    "period_start",
    "period_end",
    "listing_id",
    "capability_key",
    "operation_key",
    "currency",
    "token_symbol",
    "provider_gross_amount_minor",
    "provider_usage_amount_minor",
    "provider_receivable_minor",
    "protocol_fee_minor",
    "gross_buyer_debit_minor",
    "rounding_delta_minor",
    "buyer_debit_minor",
    "status",
    "settlement_batch_id",
    "buyer_period_ref",
)
"""The columns that the platform documents (SDK 0.5.7)."""

REQUIRED = frozenset(COLUMNS) - set(GROSS)
MAX_LINE = 64 * 1024
"""Characters of one row."""


class UsageCsv:
    """Call `feed` with bytes as they arrive to get the complete rows, and `finish` after the last bytes."""

    def __init__(self, settlement_batch_id: str) -> None:
        self._batch = settlement_batch_id
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._pending = ""
        self._header: list[str] | None = None
        self._rows = 0
        self.line = 1
        """The line of the export where the row that is read next, or was read last, begins; for error messages."""

    def feed(self, chunk: bytes) -> Iterator[ProviderUsageEvent]:
        """Raises UnusableAnswer at the first row that is not what it should be."""
        try:
            text = self._pending + self._decoder.decode(chunk)
        except UnicodeDecodeError as error:
            text = self._pending + error.object[: error.start].decode("utf-8-sig")
            yield from self._events(text[: _end_of_last_row(text)])
            raise UnusableAnswer(f"{self._where()} is not UTF-8; report it to Siglume") from None
        end = _end_of_last_row(text)
        self._pending = text[end:]
        if len(self._pending) > MAX_LINE:
            raise UnusableAnswer(f"{self._where()} is longer than {MAX_LINE} characters; report it to Siglume")
        yield from self._events(text[:end])

    def finish(self) -> None:
        """Raises TruncatedCsv unless the export ended with a whole line."""
        if self._header is None or self._pending or self._decoder.getstate()[0]:
            raise TruncatedCsv(
                f"the CSV export of batch {self._batch} ends too early, after {self._rows} rows: fetch it again",
                retryable=True,
            )

    def _events(self, text: str) -> Iterator[ProviderUsageEvent]:
        before, rows = self.line - 1, csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            for row in rows:
                if self._header is None:
                    self._header = _header(row)
                else:
                    yield self._event(self._header, row)
                self.line = before + rows.line_num + 1
        except csv.Error:
            raise UnusableAnswer(f"{self._where()} is no CSV; report it to Siglume") from None

    def _event(self, header: list[str], row: list[str]) -> ProviderUsageEvent:
        if len(row) != len(header):
            raise UnusableAnswer(f"{self._where()} has {len(row)} fields, not {len(header)}; report it to Siglume")
        event = ProviderUsageEvent.read(
            Record({name: field or None for name, field in zip(header, row, strict=True)}, self._where())
        )
        if event.settlement_batch_id != self._batch:
            raise UnusableAnswer(f"{self._where()} is of another batch; report it to Siglume")
        self._rows += 1
        return event

    def _where(self) -> str:
        return f"row {self._rows + 1} of the CSV export of batch {self._batch}"


def _header(row: list[str]) -> list[str]:
    missing = sorted(REQUIRED - set(row)) or ([] if set(GROSS) & set(row) else [GROSS[0]])
    if missing:
        raise UnusableAnswer(f"the CSV export has no column {', '.join(missing)}; report it to Siglume")
    if len(set(row)) != len(row):
        raise UnusableAnswer("the CSV export names a column twice; report it to Siglume")
    return row


def _end_of_last_row(text: str) -> int:
    """The position after the last line end that is not within quotes."""
    end = text.rfind("\n") + 1
    while end and text.count('"', 0, end) % 2:
        end = text.rfind("\n", 0, end - 1) + 1
    return end
