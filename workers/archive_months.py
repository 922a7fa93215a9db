"""Keeps the raw archive's months ready, so that no webhook lands in the catch-all partition."""

import asyncpg

from shared.ledger.database import Connection
from shared.ledger.rights import MissingRight
from workers.database import RetryingDatabase
from workers.housekeeping import Housekeeping

PERIOD_SECONDS = 6 * 3600.0


def archive_months(books: RetryingDatabase) -> Housekeeping:
    """The first worker to run makes the month, and the others find it there."""

    async def run_once() -> float:
        await books.run(_ensure_if_allowed)
        return PERIOD_SECONDS

    return Housekeeping("archive months", run_once)


async def _ensure_if_allowed(connection: Connection) -> None:
    """Raises MissingRight; webhooks then go to the default partition until the owner makes the months."""
    try:
        await ensure_months(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise MissingRight(
            f"the Postgres user may not make the archive's months ({error}): "
            "make it a member of the role that owns the schema kessai"
        ) from error


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
