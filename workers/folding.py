"""Folds tallies while others add to them, so that charts and counts stay cheap to read."""

from datetime import UTC, datetime

from shared.ledger import folding
from shared.ledger.database import Pool, connected
from workers.housekeeping import Housekeeping

PERIOD_SECONDS = 20.0


def fold_tallies(pool: Pool) -> Housekeeping:
    """One worker at a time; without a pause while there is much to fold."""

    async def run_once() -> float:
        async with connected(pool) as connection:
            folded = await folding.fold_alone(connection, now=datetime.now(UTC))
        return 0.0 if folded >= folding.ROWS_AT_ONCE else PERIOD_SECONDS

    return Housekeeping("folding tallies", run_once)
