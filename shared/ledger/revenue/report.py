"""What came in within a period, what of it is still expected or lost, and what is unexplained? To the minor unit.

Standard orders count by their payment, micro and nano usage by when it was used, whatever became of it since. The kinds
of money stand apart, and so do currencies. `received` is the other view: what reached the chain within the period.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

from shared.ledger.conditions import endpoints_in
from shared.ledger.database import Connection
from shared.ledger.revenue.comparing import span_of
from shared.ledger.revenue.conditions import money_of_row
from shared.ledger.revenue.controls import NO_CONTROL, Control, control_totals, residues
from shared.ledger.revenue.explanations import Explained, Standing, explain
from shared.ledger.revenue.findings import READ_WHOLE_TABLES, find_differences
from shared.ledger.revenue.in_review import told_in_review
from shared.ledger.revenue.money import KNOWN_STATUSES, NOTHING, Money, Sums, plain, sums_json, total
from shared.ledger.revenue.periods import Period
from shared.ledger.revenue.totals import Summary, kept

Json: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class Band:
    """Micro or nano usage of one currency and token."""

    kinds: dict[Money, Sums] = field(default_factory=lambda: dict.fromkeys(Money, NOTHING))
    unknown_states: dict[str, Sums] = field(default_factory=dict)
    """What is unsettled in states that we do not know, by their name."""
    received: Sums = NOTHING
    """Batches that were settled within the period, whenever they were used."""

    def add(self, money: Money, status: str | None, sums: Sums) -> None:
        self.kinds[money] = self.kinds[money].plus(sums)
        if status is not None and status not in KNOWN_STATUSES:
            self.unknown_states[status] = self.unknown_states.get(status, NOTHING).plus(sums)


BandKey: TypeAlias = tuple[str, str]
"""Pricing band and token."""


@dataclass(slots=True)
class Currency:
    """All of one currency; amounts are its minor units."""

    standard: Sums = NOTHING
    """Paid orders of the standard band, by what was paid; the platform's fee on them is not in the books."""
    standard_in_review: Sums = NOTHING
    """Payments that the platform told of and that no order has taken: a person decides. Of unknown amounts, as many."""
    bands: dict[BandKey, Band] = field(default_factory=dict)
    control: Control = NO_CONTROL
    """What webhooks and statements say of the same usage, as far as it is compared."""
    in_doubt: dict[Standing, Decimal] = field(default_factory=lambda: dict.fromkeys(Standing, Decimal(0)))

    def band(self, key: BandKey) -> Band:
        return self.bands.setdefault(key, Band())

    @property
    def unexplained(self) -> Decimal:
        """Zero when all is well: what differs without a review, and what no difference accounts for."""
        return self.in_doubt[Standing.UNEXPLAINED]


@dataclass(slots=True)
class Report:
    period: Period
    as_of: datetime
    endpoints: Sequence[str]
    compared_until: datetime | None = None
    """What happened before then was compared, at every endpoint that was; None when none was."""
    not_compared: list[str] = field(default_factory=list)
    """Endpoints whose statements were never read to their end."""
    currencies: dict[str, Currency] = field(default_factory=dict)
    differences: list[Explained] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)
    """What the platform summed up itself, of all time, when it was asked last; the period has no part in it."""

    def currency(self, name: str) -> Currency:
        return self.currencies.setdefault(name, Currency())

    @property
    def is_explained(self) -> bool:
        """Whether everything was compared as far as it can be, and nothing is unexplained."""
        return (
            not self.not_compared
            and not any(each.unexplained for each in self.currencies.values())
            and not any(each.standing is Standing.UNEXPLAINED for each in self.differences)  # of unknown amount, too
        )

    def as_json(self) -> Json:
        """The shape that `deploy/decisions/0008-metered-books.md` describes; amounts are text."""
        return {
            "period": {"name": self.period.name, "since": self.period.since, "until": self.period.until},
            "as_of": self.as_of,
            "endpoints": list(self.endpoints),
            "compared_until": self.compared_until,
            "not_compared": self.not_compared,
            "is_explained": self.is_explained,
            "currencies": [
                _currency_json(name, each, is_compared=self.compared_until is not None)
                for name, each in sorted(self.currencies.items())
            ],
            "differences": [_difference_json(each) for each in self.differences],
            "summaries": [each.as_json() for each in self.summaries],
        }


async def revenue(connection: Connection, period: Period, *, endpoint: str | None = None, now: datetime) -> Report:
    """The report as one snapshot of the books has it."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(READ_WHOLE_TABLES)
        report = Report(period, now, [endpoint] if endpoint else await _endpoints(connection))
        await _add_standard(connection, report, endpoint)
        await _add_in_review(connection, report, endpoint)
        await _add_metered(connection, report, endpoint)
        await _add_received(connection, report, endpoint)
        for name in report.endpoints:
            await _add_comparison(connection, report, name)
        report.summaries = await kept(connection, report.endpoints)
    return report


async def _endpoints(connection: Connection) -> list[str]:
    """Those that have metered money."""
    rows = await connection.fetch(
        f"""
        SELECT endpoint FROM kessai.statement_syncs
        UNION
        SELECT unnest({endpoints_in("kessai.metered_usage")})
        ORDER BY endpoint
        """
    )
    return [row["endpoint"] for row in rows]


async def _add_standard(connection: Connection, report: Report, endpoint: str | None) -> None:
    rows = await connection.fetch(
        """
        SELECT paid_currency AS currency, count(*) AS orders, sum(paid_minor) AS gross
        FROM kessai.audit
        JOIN kessai.orders ON order_id = subject
        WHERE audit.paid_at IS NOT NULL AND audit.paid_at >= $1 AND audit.paid_at < $2
          AND ($3::text IS NULL OR orders.endpoint = $3)
        GROUP BY paid_currency
        """,
        report.period.since,
        report.period.until,
        endpoint,
    )
    for row in rows:
        report.currency(row["currency"]).standard = Sums(row["orders"], row["gross"])


# What an event or a session tells of a payment is evidence: checked by nobody, so of any shape.
_STANDARD = """
    state = 'open' AND at >= $1 AND at < $2 AND ($3::text IS NULL OR endpoint = $3)
    AND told ->> 'settlement_status' = 'settled' AND told ->> 'settlement_batch_id' IS NULL
    AND coalesce(told ->> 'pricing_band', 'standard') = 'standard' AND upper(told ->> 'currency') IN ('JPY', 'USD')
"""
IN_REVIEW = f"""
SELECT upper(told ->> 'currency') AS currency, count(*) AS payments,
       coalesce(sum(CASE WHEN told ->> 'amount_minor' ~ '^[0-9]{{1,16}}([.][0-9]{{1,16}})?$'
                         THEN (told ->> 'amount_minor')::numeric END), 0) AS gross
FROM ({told_in_review(_STANDARD)}) AS payments
GROUP BY 1
"""


async def _add_in_review(connection: Connection, report: Report, endpoint: str | None) -> None:
    for row in await connection.fetch(IN_REVIEW, report.period.since, report.period.until, endpoint):
        report.currency(row["currency"]).standard_in_review = Sums(row["payments"], row["gross"])


async def _add_metered(connection: Connection, report: Report, endpoint: str | None) -> None:
    rows = await connection.fetch(
        f"""
        SELECT stated.currency, stated.plan_type, stated.token_symbol, {money_of_row("stated", "batch")} AS money,
               CASE WHEN batch.money = 'unsettled' THEN batch.status END AS status, count(*) AS payments,
               sum(stated.provider_gross_amount_minor) AS gross, sum(stated.protocol_fee_minor) AS fee,
               sum(stated.provider_receivable_minor) AS receivable
        FROM kessai.statement_usage AS stated
        LEFT JOIN kessai.statement_batches AS batch USING (settlement_batch_id)
        WHERE stated.created_at >= $1 AND stated.created_at < $2 AND stated.endpoint = ANY ($3::text[])
        GROUP BY 1, 2, 3, 4, 5
        """,
        report.period.since,
        report.period.until,
        [endpoint] if endpoint else list(report.endpoints),
    )
    for row in rows:
        sums = Sums(row["payments"], row["gross"], row["fee"], row["receivable"])
        band = report.currency(row["currency"]).band((row["plan_type"], row["token_symbol"]))
        band.add(Money(row["money"]), row["status"], sums)


async def _add_received(connection: Connection, report: Report, endpoint: str | None) -> None:
    rows = await connection.fetch(
        """
        SELECT currency, plan_type, coalesce(token_symbol, '?') AS token_symbol, count(*) AS batches,
               coalesce(sum(provider_gross_amount_minor), 0) AS gross, coalesce(sum(protocol_fee_minor), 0) AS fee,
               coalesce(sum(provider_receivable_minor), 0) AS receivable
        FROM kessai.statement_batches
        WHERE money = 'settled' AND dated_at >= $1 AND dated_at < $2 AND endpoint = ANY ($3::text[])
        GROUP BY 1, 2, 3
        """,
        report.period.since,
        report.period.until,
        [endpoint] if endpoint else list(report.endpoints),
    )
    for row in rows:
        band = report.currency(row["currency"] or "?").band((row["plan_type"], row["token_symbol"]))
        band.received = Sums(row["batches"], row["gross"], row["fee"], row["receivable"])


async def _add_comparison(connection: Connection, report: Report, endpoint: str) -> None:
    """What differs at an endpoint, and whether that accounts for all by which the two sides differ."""
    span = await span_of(connection, endpoint, since=report.period.since, until=report.period.until)
    if span is None:
        report.not_compared.append(endpoint)
        return
    report.compared_until = min(report.compared_until or span.until, span.until)
    explained = await explain(connection, endpoint, await find_differences(connection, span))
    report.differences += explained
    left = await control_totals(connection, span)
    for (currency, _), control in left.items():
        report.currency(currency).control = report.currency(currency).control.plus(control)
    for currency, amount in residues(left, explained).items():
        report.currency(currency).in_doubt[Standing.UNEXPLAINED] += amount
    for standing, currency, stake in _stakes(explained):
        report.currency(currency).in_doubt[standing] += stake


def _stakes(explained: Iterable[Explained]) -> list[tuple[Standing, str, Decimal]]:
    """What is in doubt of each thing, once, by the least that is known of its differences."""
    things: dict[tuple[str, str], tuple[Standing, Decimal]] = {}
    for each in explained:
        key = (each.difference.about, each.difference.currency)
        standing, stake = things.get(key, (Standing.ACCEPTED, Decimal(0)))
        things[key] = (min(standing, each.standing, key=list(Standing).index), max(stake, each.difference.stake))
    return [(standing, currency, stake) for (_, currency), (standing, stake) in things.items()]


def _currency_json(name: str, each: Currency, *, is_compared: bool) -> Json:
    return {
        "currency": name,
        "standard": {"orders": each.standard.payments, "gross_minor": plain(each.standard.gross)},
        "standard_in_review": _control_json(each.standard_in_review),
        "metered": [
            {
                "pricing_band": pricing_band,
                "token_symbol": token,
                **{str(money): sums_json(sums) for money, sums in band.kinds.items()},
                "unknown_states": {status: sums_json(sums) for status, sums in sorted(band.unknown_states.items())},
                "received": sums_json(band.received, of="batches"),
            }
            for (pricing_band, token), band in sorted(each.bands.items())
        ],
        "metered_total": {
            str(money): sums_json(total(band.kinds[money] for band in each.bands.values())) for money in Money
        },
        "compared": {
            "webhooks": _control_json(each.control.webhooks),
            "statements": _control_json(each.control.statements),
            "in_review_minor": plain(each.in_doubt[Standing.IN_REVIEW]),
            "accepted_minor": plain(each.in_doubt[Standing.ACCEPTED]),
            "unexplained_minor": plain(each.unexplained),
        }
        if is_compared
        else None,
    }


def _control_json(sums: Sums) -> Json:
    return {"payments": sums.payments, "gross_minor": plain(sums.gross)}


def _difference_json(explained: Explained) -> Json:
    difference = explained.difference
    return {
        "reason": difference.reason,
        "about": difference.about,
        "at": difference.at,
        "standing": explained.standing,
        "review_id": explained.review_id,
        "currency": difference.currency,
        "in_doubt_minor": plain(difference.stake),
    }
