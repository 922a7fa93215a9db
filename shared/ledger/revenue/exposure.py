"""How near is a buyer to the amount at which the platform takes no more of their micro or nano payments?

Exposure is what a buyer has used of a band and token and what is neither settled nor given up. At the threshold new
usage is refused until they have paid; the warning comes before. Buyers have no name here but `buyer_period_ref`, which
holds within a period: what they owe of earlier ones is known only where the platform states their total.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from shared.ledger.database import Connection
from shared.ledger.revenue.conditions import OPEN_MONEY, has_unit_of
from shared.ledger.revenue.findings import READ_WHOLE_TABLES
from shared.ledger.revenue.money import plain

THRESHOLD: Final = Decimal(10_000)
"""Minor units, JPY and USD alike, where the platform states none."""
WARNING: Final = Decimal("0.8")
"""Share of the threshold from which on people are warned, where nobody has set another."""


class Level(StrEnum):
    FINE = "fine"
    WARNING = "warning"
    PAUSED = "paused"
    """New usage is refused."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Of one buyer, band and token; amounts are minor units."""

    endpoint: str
    buyer_period_ref: str | None
    pricing_band: str
    token_symbol: str | None
    currency: str | None
    gross: Decimal
    """That statements list and that is neither settled nor given up."""
    past_due: Decimal
    """Part of it whose batch the platform has stopped trying to debit."""
    stated: Decimal | None
    """What the platform says it is, earlier periods included."""
    threshold: Decimal

    @property
    def amount(self) -> Decimal:
        return max(self.gross, self.stated or Decimal(0))

    def level(self, warning: Decimal) -> Level:
        """`warning` is the share of the threshold from which on people are warned."""
        if self.amount >= self.threshold or self.past_due > 0:
            return Level.PAUSED
        return Level.WARNING if self.amount >= self.threshold * warning else Level.FINE

    def as_json(self, warning: Decimal) -> dict[str, Any]:
        """Amounts are text."""
        return {
            "endpoint": self.endpoint,
            "buyer_period_ref": self.buyer_period_ref,
            "pricing_band": self.pricing_band,
            "token_symbol": self.token_symbol,
            "currency": self.currency,
            "level": self.level(warning),
            "exposure_minor": plain(self.amount),
            "listed_minor": plain(self.gross),
            "stated_minor": None if self.stated is None else plain(self.stated),
            "past_due_minor": plain(self.past_due),
            "threshold_minor": plain(self.threshold),
        }


# A batch counts by what it states; its rows count where it states nothing, and where they are of another unit than it.
EXPOSURES = f"""
WITH batch AS (
    SELECT settlement_batch_id, endpoint, buyer_period_ref, plan_type, provider_gross_amount_minor, money, stated_at,
           settlement_threshold_minor, total_unsettled_exposure_minor,
           coalesce(currency, rows.only_currency) AS currency, coalesce(token_symbol, rows.only_token) AS token_symbol
    FROM kessai.statement_batches AS stated
    LEFT JOIN LATERAL (
        SELECT min(currency) AS only_currency, min(token_symbol) AS only_token
        FROM kessai.statement_usage AS listed
        WHERE listed.settlement_batch_id = stated.settlement_batch_id
          AND (stated.currency IS NULL OR stated.token_symbol IS NULL)
        HAVING count(DISTINCT (currency, token_symbol)) = 1
    ) AS rows ON true
    WHERE money IN {OPEN_MONEY}
), open AS (
    SELECT endpoint, buyer_period_ref, plan_type, token_symbol, currency, provider_gross_amount_minor AS gross, money,
           settlement_threshold_minor AS threshold, total_unsettled_exposure_minor AS stated, stated_at
    FROM batch
    WHERE coalesce(provider_gross_amount_minor, total_unsettled_exposure_minor, settlement_threshold_minor) IS NOT NULL
    UNION ALL
    SELECT batch.endpoint, batch.buyer_period_ref, batch.plan_type, rows.token_symbol, rows.currency,
           sum(rows.provider_gross_amount_minor), batch.money, NULL, NULL, max(rows.stated_at)
    FROM batch
    JOIN kessai.statement_usage AS rows USING (settlement_batch_id)
    WHERE batch.provider_gross_amount_minor IS NULL
       OR NOT {has_unit_of("rows", "batch")}
    GROUP BY settlement_batch_id, 1, 2, 3, 4, 5, 7
    UNION ALL
    SELECT endpoint, buyer_period_ref, plan_type, token_symbol, currency, sum(provider_gross_amount_minor),
           'unsettled', NULL, NULL, max(stated_at)
    FROM kessai.statement_usage AS listed
    WHERE NOT EXISTS (SELECT FROM kessai.statement_batches AS known
                      WHERE known.settlement_batch_id = listed.settlement_batch_id)
    GROUP BY 1, 2, 3, 4, 5
)
SELECT endpoint, buyer_period_ref, plan_type AS pricing_band, token_symbol, currency,
       coalesce(sum(gross), 0) AS gross,
       coalesce(sum(gross) FILTER (WHERE money = 'past_due'), 0) AS past_due,
       (array_agg(stated ORDER BY stated_at DESC) FILTER (WHERE stated IS NOT NULL))[1] AS stated,
       (array_agg(threshold ORDER BY stated_at DESC) FILTER (WHERE threshold IS NOT NULL))[1] AS threshold
FROM open
WHERE $1::text IS NULL OR endpoint = $1
GROUP BY 1, 2, 3, 4, 5
"""


async def exposures(connection: Connection, *, endpoint: str | None = None) -> list[Exposure]:
    """Every buyer's, the nearest to its threshold first."""
    async with connection.transaction(readonly=True):
        await connection.execute(READ_WHOLE_TABLES)
        rows = await connection.fetch(EXPOSURES, endpoint)
    found = [_exposure(dict(row)) for row in rows]
    return sorted(found, key=lambda each: (-each.amount / each.threshold, each.endpoint, each.buyer_period_ref or ""))


def _exposure(row: Mapping[str, Any]) -> Exposure:
    stated = row["threshold"]
    return Exposure(**{**row, "threshold": stated if stated is not None and stated > 0 else THRESHOLD})
