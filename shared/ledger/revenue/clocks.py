"""When was usage used, where webhook and statement have clocks of their own and a row names no payment? By its row.

That matters only where a day or the compared span begins or ends: a payment may stand on one side of that moment for
the webhook and on the other for the statement. There, what was told takes the time of the row that is nearest to it in
time, within an hour, of the same amount, currency and band. Nothing but the day that it counts in follows from that.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Final, NamedTuple

from shared.ledger.books import Row
from shared.ledger.database import Connection
from shared.ledger.revenue.in_review import told_in_review
from shared.sdrp.money import InvalidAmount, parse_minor

APART: Final = timedelta(hours=1)
"""How much two clocks may differ; `comparing.PATIENCE`, within which the other side of a span's end has come, too."""
APART_SQL: Final = f"interval '{APART.total_seconds():.0f} seconds'"
DAY: Final = timedelta(days=1)
_STEPS: Final = (timedelta(seconds=1), timedelta(minutes=1), APART)
"""The nearest are paired first, so that one without a partner takes no other's."""
NAMELESS: Final = "paired_with IS NULL AND requirement_id IS NULL AND challenge_hash IS NULL"
"""SQL for rows of statements that name no payment."""

Kind = tuple[str, str, Decimal]
"""Currency, band and amount."""
Id = str | int
"""The requirement of usage, or the review that its webhook waits in."""
Dates = Mapping[Id, datetime]


class Moment(NamedTuple):
    """When a row or a webhook says that somebody paid."""

    at: datetime
    kind: Kind
    told: Id | None
    """None: a row."""


def dates_of(moments: Iterable[Moment]) -> dict[Id, datetime]:
    """Of what webhooks told, the time of the row that each is taken for. Pure."""
    by_kind: dict[Kind, list[Moment]] = {}
    for moment in sorted(moments, key=lambda each: (each.at, str(each.told))):
        by_kind.setdefault(moment.kind, []).append(moment)
    dates: dict[Id, datetime] = {}
    for alone in by_kind.values():
        for apart in _STEPS:
            alone = _pair(alone, apart, dates)
    return dates


def _pair(moments: Iterable[Moment], apart: timedelta, dates: dict[Id, datetime]) -> list[Moment]:
    """Pair neighbours of two sides, given in order of time; returns the others, in the same order."""
    alone: list[Moment] = []
    for moment in moments:
        last = alone[-1] if alone else None
        if last is None or (last.told is None) == (moment.told is None) or moment.at - last.at > apart:
            alone.append(moment)
            continue
        alone.pop()
        told, row = (moment, last) if last.told is None else (last, moment)
        if told.told is not None:
            dates[told.told] = row.at
    return alone


class Window(NamedTuple):
    """So much time around a moment at which clocks matter."""

    since: datetime
    until: datetime
    """Not part of it."""


def windows(since: datetime, until: datetime) -> list[Window]:
    """Around each midnight (UTC) of a span, and around its ends; those that payments may lie across are one. Pure."""
    midnight = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    moments = [since, *(midnight + DAY * days for days in range((until - midnight) // DAY + 1)), until]
    found: list[Window] = []
    for moment in moments:
        last = found[-1] if found else None
        if last is not None and moment - APART <= last.until + APART:
            found[-1] = Window(last.since, moment + APART)
        else:
            found.append(Window(moment - APART, moment + APART))
    return found


# Of all rows, as an index gives it at once; they come before and after all that matters.
EXTENT = f"""
SELECT min(created_at) - {APART_SQL} AS since, max(created_at) + {APART_SQL} AS until
FROM kessai.statement_usage
WHERE endpoint = $1 AND created_at >= $2::timestamptz - {APART_SQL} AND created_at < $3::timestamptz + {APART_SQL}
"""
ROWS = f"""
SELECT created_at AS at, currency, plan_type AS pricing_band, provider_gross_amount_minor AS amount
FROM kessai.statement_usage
WHERE endpoint = $1 AND {NAMELESS} AND created_at >= $2 AND created_at < $3
"""
USAGE = """
SELECT accepted_at AS at, currency, pricing_band, amount_minor AS amount, requirement_id AS told
FROM kessai.metered_usage AS booked
WHERE endpoint = $1 AND accepted_at >= $2 AND accepted_at < $3
  AND NOT EXISTS (SELECT FROM kessai.statement_usage AS stated
                  WHERE stated.endpoint = booked.endpoint AND stated.paired_with = booked.requirement_id)
"""
# A webhook of usage that waits in a review of its own, or was rejected there, explains the statement's row.
_USAGE_IN_REVIEW = f"""
    endpoint = $1 AND at >= $2::timestamptz - {APART_SQL} AND at < $3::timestamptz + {APART_SQL} AND about IS NULL
    AND (state = 'open' OR resolution = 'reject') AND told ->> 'settlement_status' = 'pending_settlement'
"""
WAITING = f"""
SELECT review_id, state, at, told ->> 'amount_minor' AS amount, upper(told ->> 'currency') AS currency,
       told ->> 'pricing_band' AS pricing_band
FROM ({told_in_review(_USAGE_IN_REVIEW)}) AS waiting
ORDER BY at
"""


class Waits(NamedTuple):
    """Usage whose webhook is in a review of its own."""

    review_id: int
    is_open: bool
    at: datetime
    kind: Kind


async def waiting(connection: Connection, endpoint: str, since: datetime, until: datetime) -> list[Waits]:
    """In order of time, an hour around the span included; amounts that cannot be read are left out."""
    rows = await connection.fetch(WAITING, endpoint, since, until)
    return [
        Waits(row["review_id"], row["state"] == "open", row["at"], (row["currency"] or "", band, amount))
        for row in rows
        for band, amount in [(row["pricing_band"] or "", _amount(row["amount"]))]
        if amount is not None
    ]


async def find_dates(connection: Connection, endpoint: str, since: datetime, until: datetime) -> Dates:
    """Of usage and reviews that may belong to another day, or to another span, than their webhook says.

    Midnight by midnight, and beside the event loop: a year may have a million payments near one.
    """
    extent = await connection.fetchrow(EXTENT, endpoint, since, until)
    if extent is None or extent["since"] is None or since >= until:
        return {}
    dates: dict[Id, datetime] = {}
    waits: list[Waits] | None = None
    for window in windows(max(since, extent["since"]), min(until, extent["until"])):
        rows = await connection.fetch(ROWS, endpoint, *window)
        if not rows:
            continue
        usage = await connection.fetch(USAGE, endpoint, *window)
        waits = await waiting(connection, endpoint, since, until) if waits is None else waits
        first, last = (bisect_left(waits, at, key=attrgetter("at")) for at in window)
        dates |= await asyncio.to_thread(_moved, rows, usage, waits[first:last], since, until)
    return dates


def _moved(
    rows: Iterable[Row], usage: Iterable[Row], in_review: Iterable[Waits], since: datetime, until: datetime
) -> dict[Id, datetime]:
    """The dates of those that count elsewhere by their row."""
    stated = [_moment(row["at"], row["currency"], row["pricing_band"], row["amount"], None) for row in rows]
    told = [_moment(row["at"], row["currency"], row["pricing_band"], row["amount"], row["told"]) for row in usage]
    told += [Moment(each.at, each.kind, each.review_id) for each in in_review]
    dates = dates_of([*stated, *told])

    def counts_in(at: datetime) -> tuple[date, bool]:
        return at.astimezone(UTC).date(), since <= at < until

    return {
        each.told: dates[each.told]
        for each in told
        if each.told in dates and counts_in(each.at) != counts_in(dates[each.told])
    }


def _moment(at: datetime, currency: str, pricing_band: str, amount: Decimal, told: Id | None) -> Moment:
    return Moment(at, (currency, pricing_band, amount), told)


def _amount(text: str | None) -> Decimal | None:
    try:
        return None if text is None else parse_minor(text)
    except InvalidAmount:
        return None
