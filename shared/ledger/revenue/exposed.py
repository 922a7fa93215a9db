"""How many buyers are near the amount at which the platform takes no more of them? As the last comparison found it.

Adding exposures up takes too long for a page that is looked at often, so each comparison keeps its counts in one row.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from shared.ledger.database import Connection
from shared.ledger.revenue.exposure import Exposure, Level, exposures

NAMED: Final = 5
"""Buyers at most that are told by their reference: the nearest to their threshold."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """Buyers by what is worst of them, whatever their bands and tokens."""

    warning: int = 0
    paused: int = 0
    nearest: tuple[str, ...] = ()
    """Some of them, as `buyer_period_ref`."""

    @classmethod
    def among(cls, found: Iterable[Exposure], warning: Decimal) -> "Exposed":
        """Of buyers in the order of `exposures`; one without a reference is one by each band and token."""
        levels: dict[str | Exposure, Level] = {}
        for each in found:
            buyer = each.buyer_period_ref or each
            levels[buyer] = max(levels.get(buyer, Level.FINE), each.level(warning), key=list(Level).index)
        counts = Counter(levels.values())
        named = [buyer for buyer, level in levels.items() if level is not Level.FINE and isinstance(buyer, str)]
        return cls(counts[Level.WARNING], counts[Level.PAUSED], tuple(named[:NAMED]))

    @property
    def counts(self) -> dict[Level, int]:
        return {Level.WARNING: self.warning, Level.PAUSED: self.paused}


@dataclass(frozen=True, slots=True)
class LastExposed:
    """Of all endpoints together."""

    warning: int
    paused: int
    as_of: datetime
    """When the oldest of the counts was made."""


async def count_exposed(connection: Connection, endpoint: str, warning: Decimal, *, now: datetime) -> Exposed:
    """The buyers of an endpoint, counted and kept."""
    found = Exposed.among(await exposures(connection, endpoint=endpoint), warning)
    await connection.execute(
        """
        INSERT INTO kessai.statement_exposures (endpoint, warning, paused, counted_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (endpoint) DO UPDATE
        SET warning = excluded.warning, paused = excluded.paused, counted_at = excluded.counted_at
        """,
        *(endpoint, found.warning, found.paused, now),
    )
    return found


async def kept_exposed(connection: Connection, endpoint: str) -> Exposed:
    """The counts of an endpoint as the last comparison kept them, without names; zeros before the first."""
    row = await connection.fetchrow(
        "SELECT warning, paused FROM kessai.statement_exposures WHERE endpoint = $1", endpoint
    )
    return Exposed() if row is None else Exposed(row["warning"], row["paused"])


LAST = """
SELECT sum(warning)::bigint AS warning, sum(paused)::bigint AS paused, min(counted_at) AS as_of
FROM kessai.statement_exposures
WHERE warning + paused > 0
"""


async def last_exposed(connection: Connection) -> LastExposed | None:
    """None when nobody was near a threshold."""
    row = await connection.fetchrow(LAST)
    return None if row is None or row["as_of"] is None else LastExposed(**dict(row))
