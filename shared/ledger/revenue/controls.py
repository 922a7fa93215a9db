"""How much usage do webhooks and statements each tell of? Added up without regard to any difference that was found.

Usage that a row is paired with counts when the row does, so that a clock that differs moves nothing between periods;
usage near the ends of the span that no row names does likewise (`clocks.py`).
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from shared.ledger.database import Connection
from shared.ledger.revenue.explanations import Explained
from shared.ledger.revenue.money import NOTHING, Sums
from shared.ledger.revenue.spans import LONE, Span


class Control(NamedTuple):
    webhooks: Sums = NOTHING
    statements: Sums = NOTHING

    @property
    def excess(self) -> Decimal:
        """Of the webhooks, in minor units."""
        return self.webhooks.gross - self.statements.gross

    def plus(self, other: "Control") -> "Control":
        return Control(self.webhooks.plus(other.webhooks), self.statements.plus(other.statements))


NO_CONTROL: Final = Control()

TOTALS = f"""
SELECT currency, pricing_band, sum(told)::bigint AS told, sum(told_gross) AS told_gross, sum(stated)::bigint AS stated,
       sum(stated_gross) AS stated_gross
FROM (
    SELECT currency, plan_type AS pricing_band, 0 AS told, 0 AS told_gross, count(*) AS stated,
           sum(provider_gross_amount_minor) AS stated_gross
    FROM kessai.statement_usage
    WHERE endpoint = $1 AND created_at >= $2 AND created_at < $3
    GROUP BY 1, 2
    UNION ALL
    SELECT booked.currency, booked.pricing_band, count(*), sum(booked.amount_minor), 0, 0
    FROM kessai.statement_usage AS stated
    JOIN kessai.metered_usage AS booked
        ON booked.endpoint = stated.endpoint AND booked.requirement_id = stated.paired_with
    WHERE stated.endpoint = $1 AND stated.created_at >= $2 AND stated.created_at < $3
    GROUP BY 1, 2
    UNION ALL
    SELECT currency, pricing_band, count(*), sum(amount_minor), 0, 0
    FROM ({LONE}) AS lone
    GROUP BY 1, 2
) AS sides
GROUP BY 1, 2
"""


async def control_totals(connection: Connection, span: Span) -> dict[tuple[str, str], Control]:
    """By currency and band."""
    rows = await connection.fetch(TOTALS, *span.lone_arguments)
    return {
        (row["currency"], row["pricing_band"]): Control(
            Sums(row["told"], row["told_gross"]), Sums(row["stated"], row["stated_gross"])
        )
        for row in rows
    }


def residues(totals: Mapping[tuple[str, str], Control], explained: Iterable[Explained]) -> dict[str, Decimal]:
    """By currency, how much of what webhooks and statements differ by no difference accounts for."""
    left = {key: control.excess for key, control in totals.items()}
    for each in explained:
        for effect in each.difference.effects:
            key = (effect.currency, effect.pricing_band)
            left[key] = left.get(key, Decimal(0)) - effect.amount
    residues: dict[str, Decimal] = {}
    for (currency, _), amount in left.items():
        residues[currency] = residues.get(currency, Decimal(0)) + abs(amount)
    return residues
