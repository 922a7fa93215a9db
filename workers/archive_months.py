"""Keeps the raw archive's months ready, so that no webhook lands in the catch-all partition."""

from shared.ledger.database import Connection
from workers.database import RetryingDatabase
from workers.housekeeping import Housekeeping

PERIOD_SECONDS = 6 * 3600.0


def archive_months(books: RetryingDatabase) -> Housekeeping:
    """The first worker to run makes the month, and the others find it there."""

    async def run_once() -> float:
        await books.run(ensure_months)
        return PERIOD_SECONDS

    return Housekeeping("archive months", run_once)


async def ensure_months(connection: Connection) -> None:
    """This month and the next, in UTC; one worker at a time."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(1801810805, 0)")
        await connection.execute(
            """
            SELECT kessai.ensure_archive_month((now() AT TIME ZONE 'UTC' + make_interval(months => ahead))::date)
            FROM generate_series(0, 1) AS ahead
            """
        )
