"""Do the books come to what the platform's summary says? A token and a kind of money at a time, in minor units.

The summary is the platform's own sum over everything; it finds what a list has left out.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from shared.ledger.database import Connection
from shared.ledger.revenue.findings import READ_WHOLE_TABLES
from shared.ledger.revenue.money import Money
from shared.sdrp.api.batches import Receivables

TOKENS: Final = ("JPYC", "USDC")
"""Amounts of two tokens are never added, so each is asked for."""


class Total(NamedTuple):
    """What a provider gets of one token and kind of money."""

    token_symbol: str
    money: Money
    stated: Decimal
    booked: Decimal

    @property
    def excess(self) -> Decimal:
        """Of the books."""
        return self.booked - self.stated


RECEIVABLES = """
SELECT token_symbol, money, sum(receivable) AS receivable
FROM (
    SELECT token_symbol, money, provider_receivable_minor AS receivable
    FROM kessai.statement_batches
    WHERE endpoint = $1
    UNION ALL
    SELECT token_symbol, 'unsettled', provider_receivable_minor
    FROM kessai.statement_usage AS stated
    WHERE endpoint = $1
      AND NOT EXISTS (SELECT
                      FROM kessai.statement_batches AS batch
                      WHERE batch.settlement_batch_id = stated.settlement_batch_id)
) AS parts
GROUP BY 1, 2
"""


async def booked_totals(connection: Connection, endpoint: str) -> dict[tuple[str, Money], Decimal]:
    """Receivables by token and kind: of batches as they are stated, and of usage in none that the books hold.

    A batch that closed while usage was read is met by the next run only: until then its usage is not settled.
    """
    async with connection.transaction():
        await connection.execute(READ_WHOLE_TABLES)
        rows = await connection.fetch(RECEIVABLES, endpoint)
    return {
        (row["token_symbol"], Money(row["money"])): row["receivable"] for row in rows if row["receivable"] is not None
    }


def compare_totals(
    before: Mapping[str, Receivables], after: Mapping[str, Receivables], booked: Mapping[tuple[str, Money], Decimal]
) -> list[Total]:
    """Given the summary of each token before and after the lists were read: what moved meanwhile is left out."""
    found = []
    for token in before.keys() & after.keys():
        for money in Money:
            stated = stated_total(before[token], money)
            if stated is not None and stated == stated_total(after[token], money):
                found.append(Total(token, money, stated, booked.get((token, money), Decimal(0))))
    return sorted(found)


def stated_total(totals: Receivables, money: Money) -> Decimal | None:
    stated: Decimal | None = getattr(totals, f"{money}_provider_receivable_minor")
    return stated
