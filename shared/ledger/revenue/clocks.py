"""When was usage used, where webhook and statement have clocks of their own and a row names no payment? By its row.

That matters only where a day or the compared span begins or ends: a payment may stand on one side of that moment for
the webhook and on the other for the statement. There, what was told takes the time of the row that is nearest to it in
time, within an hour, of the same amount, currency and band. Nothing but the day that it counts in follows from that.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from shared.ledger.database import Connection
from shared.sdrp.money import InvalidAmount, parse_minor

APART: Final = timedelta(hours=1)
"""How much two clocks may differ; `comparing.PATIENCE`, within which the other side of a span's end has come, too."""
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


def _near(column: str) -> str:
    """SQL for times near a midnight, or near an end of the span from $2 to $3."""
    hours = f"interval '{APART.total_seconds():.0f} seconds'"
    at = f"({column} AT TIME ZONE 'UTC')"
    return f"""
    {column} >= $2::timestamptz - {hours} AND {column} < $3::timestamptz + {hours}
      AND ({at} - date_trunc('day', {at}) NOT BETWEEN {hours} AND interval '24 hours' - {hours}
           OR {column} < $2 + {hours} OR {column} >= $3 - {hours})
    """


ROWS = f"""
SELECT created_at AS at, currency, plan_type AS pricing_band, provider_gross_amount_minor AS amount
FROM kessai.statement_usage
WHERE endpoint = $1 AND {NAMELESS} AND {_near("created_at")}
"""
USAGE = f"""
SELECT accepted_at AS at, currency, pricing_band, amount_minor AS amount, requirement_id AS told
FROM kessai.metered_usage AS booked
WHERE endpoint = $1 AND {_near("accepted_at")}
  AND NOT EXISTS (SELECT FROM kessai.statement_usage AS stated
                  WHERE stated.endpoint = booked.endpoint AND stated.paired_with = booked.requirement_id)
"""
# A webhook of usage that waits in a review of its own, or was rejected there, explains the statement's row.
WAITING = """
SELECT review_id, state, received_at, evidence #>> '{event,amount_minor}' AS amount,
       upper(evidence #>> '{event,currency}') AS currency, evidence #>> '{event,pricing_band}' AS pricing_band
FROM kessai.reviews
WHERE endpoint = $1 AND received_at >= $2 AND received_at < $3 AND (state = 'open' OR resolution = 'reject')
  AND evidence #>> '{event,settlement_status}' = 'pending_settlement'
"""


class Waits(NamedTuple):
    """Usage whose webhook is in a review of its own."""

    review_id: int
    is_open: bool
    at: datetime
    kind: Kind


async def waiting(connection: Connection, endpoint: str, since: datetime, until: datetime) -> list[Waits]:
    """By when the webhook came, an hour around the span included; amounts that cannot be read are left out."""
    rows = await connection.fetch(WAITING, endpoint, since - APART, until + APART)
    return [
        Waits(row["review_id"], row["state"] == "open", row["received_at"], (row["currency"] or "", band, amount))
        for row in rows
        for band, amount in [(row["pricing_band"] or "", _amount(row["amount"]))]
        if amount is not None
    ]


async def find_dates(connection: Connection, endpoint: str, since: datetime, until: datetime) -> Dates:
    """Of usage and reviews that may belong to another day, or to another span, than their webhook says."""
    rows = await connection.fetch(ROWS, endpoint, since, until)
    if not rows:
        return {}
    usage = await connection.fetch(USAGE, endpoint, since, until)
    in_review = await waiting(connection, endpoint, since, until)
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
