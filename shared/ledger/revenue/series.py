"""How did money come in over time? What the report counts, each kind apart, by hours, days, weeks or months in UTC."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from shared.ledger.conditions import endpoints_in
from shared.ledger.database import Connection
from shared.ledger.revenue.conditions import money_of_row
from shared.ledger.revenue.findings import READ_WHOLE_TABLES
from shared.ledger.revenue.money import Money
from shared.ledger.revenue.periods import Period

STANDARD: Final = "standard"
KINDS: Final = (STANDARD, *map(str, Money))
LONGEST: Final = timedelta(days=366)


class Grain(StrEnum):
    """How much time is one step; as Postgres calls it."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def begin(self, moment: datetime) -> datetime:
        """Of the step that holds a moment."""
        day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        match self:
            case Grain.HOUR:
                return day.replace(hour=moment.astimezone(UTC).hour)
            case Grain.DAY:
                return day
            case Grain.WEEK:
                return day - timedelta(days=day.weekday())
            case Grain.MONTH:
                return day.replace(day=1)

    def following(self, begin: datetime) -> datetime:
        """The begin of the next step. Raises OverflowError at the end of the calendar."""
        match self:
            case Grain.HOUR:
                return begin + timedelta(hours=1)
            case Grain.DAY:
                return begin + timedelta(days=1)
            case Grain.WEEK:
                return begin + timedelta(weeks=1)
            case Grain.MONTH:
                return self.begin(begin + timedelta(days=31))


class Window(NamedTuple):
    """So much time, and in which steps to look at it."""

    since: datetime
    until: datetime
    """Not part of it."""
    grain: Grain

    @classmethod
    def of(cls, period: Period) -> "Window | None":
        """Hours for two days, days for two months, else weeks; None for more than a year."""
        length = period.until - period.since
        if length > LONGEST:
            return None
        is_short = length <= timedelta(days=62)
        grain = Grain.HOUR if length <= timedelta(days=2) else Grain.DAY if is_short else Grain.WEEK
        return cls(period.since, period.until, grain)

    @classmethod
    def year_to(cls, until: datetime) -> "Window":
        """Twelve whole months; the last one is that of the moment before `until`."""
        last = Grain.MONTH.begin(until - timedelta(microseconds=1))
        first = max(last.year * 12 + last.month - 12, 12)
        return cls(last.replace(year=first // 12, month=first % 12 + 1), Grain.MONTH.following(last), Grain.MONTH)

    @property
    def steps(self) -> list[datetime]:
        """The begin of each."""
        begins = [self.grain.begin(self.since)]
        with suppress(OverflowError):  # where the calendar ends
            while (begin := self.grain.following(begins[-1])) < self.until:
                begins.append(begin)
        return begins


Course: TypeAlias = Mapping[str, Mapping[str, Sequence[Decimal]]]
"""By currency and kind of money (`KINDS`): the gross of each step, in minor units."""

PAID = """
SELECT date_trunc($4, audit.paid_at, 'UTC') AS begin, paid_currency AS currency, 'standard' AS kind,
       sum(paid_minor) AS gross
FROM kessai.audit
JOIN kessai.orders ON order_id = subject
WHERE audit.paid_at IS NOT NULL AND audit.paid_at >= $1 AND audit.paid_at < $2
  AND ($3::text IS NULL OR orders.endpoint = $3)
GROUP BY 1, 2
"""
USED = f"""
SELECT date_trunc($4, stated.created_at, 'UTC') AS begin, stated.currency,
       {money_of_row("stated", "batch")} AS kind, sum(stated.provider_gross_amount_minor) AS gross
FROM kessai.statement_usage AS stated
LEFT JOIN kessai.statement_batches AS batch USING (settlement_batch_id)
WHERE stated.created_at >= $1 AND stated.created_at < $2
  AND stated.endpoint = ANY (
      CASE WHEN $3::text IS NULL THEN {endpoints_in("kessai.statement_usage")} ELSE ARRAY[$3] END)
GROUP BY 1, 2, 3
"""


async def course(connection: Connection, window: Window, *, endpoint: str | None = None) -> Course:
    """Standard money by its payment, micro and nano money by its usage, whatever became of it since."""
    asked = (window.since, window.until, endpoint, window.grain)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(READ_WHOLE_TABLES)
        rows = [*await connection.fetch(PAID, *asked), *await connection.fetch(USED, *asked)]
    places = {begin: place for place, begin in enumerate(window.steps)}
    found: dict[str, dict[str, list[Decimal]]] = {}
    for row in rows:
        kinds = found.setdefault(row["currency"], {kind: [Decimal(0)] * len(places) for kind in KINDS})
        kinds[row["kind"]][places[row["begin"]]] += row["gross"]
    return found
