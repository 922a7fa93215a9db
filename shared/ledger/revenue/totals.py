"""Do the books come to what the platform's summary says? A token and a kind of money at a time, in minor units.

The summary is the platform's own sum over everything; it finds what a list has left out. The last one is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from shared.ledger.database import Connection
from shared.ledger.revenue.findings import READ_WHOLE_TABLES
from shared.ledger.revenue.money import Money, plain
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


_RECEIVABLE: Final = "_provider_receivable_minor"


def stated_total(totals: Receivables, kind: str) -> Decimal | None:
    stated: Decimal | None = getattr(totals, kind + _RECEIVABLE)
    return stated


_KINDS: Final = tuple(name.removesuffix(_RECEIVABLE) for name in Receivables.__dataclass_fields__)


class Summary(NamedTuple):
    """One sum of the platform's as it was kept."""

    endpoint: str
    token_symbol: str
    kind: str
    """As the platform names it; the books know those of `Money`."""
    stated: Decimal
    booked: Decimal | None
    """What the books came to then; None where that was not compared."""
    stated_at: datetime

    @property
    def differs(self) -> bool:
        return self.booked is not None and self.booked != self.stated

    def as_json(self) -> dict[str, Any]:
        """Amounts are text."""
        return {
            "endpoint": self.endpoint,
            "token_symbol": self.token_symbol,
            "kind": self.kind,
            "stated_minor": plain(self.stated),
            "booked_minor": None if self.booked is None else plain(self.booked),
            "stated_at": self.stated_at,
        }


async def keep(
    connection: Connection,
    endpoint: str,
    summaries: Mapping[str, Receivables],
    compared: Iterable[Total],
    *,
    stated_at: datetime,
) -> None:
    """Put the summary of each token in the place of the one before, with what was compared of it."""
    booked = {(each.token_symbol, str(each.money)): each.booked for each in compared}
    rows = [
        (endpoint, token, kind, stated, booked.get((token, kind)), stated_at)
        for token, totals in summaries.items()
        for kind in _KINDS
        if (stated := stated_total(totals, kind)) is not None
    ]
    async with connection.transaction():
        await connection.execute(
            "DELETE FROM kessai.statement_summaries WHERE endpoint = $1 AND token_symbol = ANY ($2::text[])",
            endpoint,
            list(summaries),
        )
        await connection.executemany("INSERT INTO kessai.statement_summaries VALUES ($1, $2, $3, $4, $5, $6)", rows)


async def kept(connection: Connection, endpoints: Sequence[str]) -> list[Summary]:
    rows = await connection.fetch(
        """
        SELECT endpoint, token_symbol, kind, receivable_minor, booked_minor, stated_at
        FROM kessai.statement_summaries
        WHERE endpoint = ANY ($1::text[])
        ORDER BY endpoint, token_symbol, kind
        """,
        endpoints,
    )
    return [Summary(*row) for row in rows]
