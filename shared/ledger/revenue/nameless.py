"""Rows that name no payment, beside the usage that no row names: compared by day, in number and amount."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date

from shared.ledger.books import Row
from shared.ledger.database import Connection
from shared.ledger.revenue.clocks import NAMELESS, waiting
from shared.ledger.revenue.days import Day, of_days
from shared.ledger.revenue.differences import Booked, Difference, Waiting, of_unlisted
from shared.ledger.revenue.money import Sums
from shared.ledger.revenue.spans import LONE, Span

LONE_BY_DAY = f"""
SELECT (at AT TIME ZONE 'UTC')::date AS day, currency, pricing_band, count(*) AS payments, sum(amount_minor) AS gross
FROM ({LONE}) AS lone
GROUP BY 1, 2, 3
"""
NAMELESS_BY_DAY = f"""
SELECT (created_at AT TIME ZONE 'UTC')::date AS day, currency, plan_type AS pricing_band, count(*) AS payments,
       sum(provider_gross_amount_minor) AS gross
FROM kessai.statement_usage
WHERE endpoint = $1 AND created_at >= $2 AND created_at < $3 AND {NAMELESS}
GROUP BY 1, 2, 3
"""

DayKey = tuple[date, str, str]


async def of_lone_usage(connection: Connection, span: Span) -> list[Difference]:
    """Days that differ; usage of a day without such rows stands by itself."""
    stated = _by_day(await connection.fetch(NAMELESS_BY_DAY, *span.arguments))
    booked = _by_day(await connection.fetch(LONE_BY_DAY, *span.lone_arguments))
    waits = await _waiting(connection, span, stated) if stated else {}
    days = [Day(*key, each, booked.get(key, Sums()), waits.get(key, Waiting())) for key, each in stated.items()]
    by_itself = sorted(booked.keys() - stated.keys())
    return [*of_days(days), *await _unlisted(connection, span, by_itself)]


def _by_day(rows: Iterable[Row]) -> dict[DayKey, Sums]:
    return {
        (row["day"], row["currency"], row["pricing_band"]): Sums(row["payments"], gross=row["gross"]) for row in rows
    }


async def _unlisted(connection: Connection, span: Span, days: Sequence[DayKey]) -> list[Difference]:
    if not days:
        return []
    rows = await connection.fetch(
        f"""
        SELECT lone.*
        FROM ({LONE}) AS lone
        JOIN unnest($6::date[], $7::text[], $8::text[]) AS given (day, currency, pricing_band)
            USING (currency, pricing_band)
        WHERE (at AT TIME ZONE 'UTC')::date = day
        ORDER BY accepted_at, requirement_id
        """,
        *span.lone_arguments,
        [day for day, _, _ in days],
        [currency for _, currency, _ in days],
        [band for _, _, band in days],
    )
    return [of_unlisted(Booked(*(row[name] for name in Booked._fields))) for row in rows]


async def _waiting(connection: Connection, span: Span, days: Mapping[DayKey, Sums]) -> dict[DayKey, Waiting]:
    """Of the days on which rows name no payment."""
    found: dict[DayKey, Waiting] = {}
    for each in await waiting(connection, *span.arguments):
        at, (currency, pricing_band, amount) = span.dates.get(each.review_id, each.at), each.kind
        key = (at.astimezone(UTC).date(), currency, pricing_band)
        if span.since <= at < span.until and key in days:
            waits = found.get(key, Waiting())
            name = "open" if each.is_open else "rejected"
            found[key] = waits._replace(**{name: getattr(waits, name).plus(Sums(1, gross=amount))})
    return found
