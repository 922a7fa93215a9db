"""Finds the transaction that locks a whole table of the books against changes, as CREATE INDEX does."""

from shared.ledger.database import Connection


async def table_lock(connection: Connection) -> str | None:
    """The lock in one sentence; None when every table takes changes.

    A lock that is only requested counts, because it stops every later request. Autovacuum and CREATE INDEX
    CONCURRENTLY take weaker locks than these.
    """
    lock = await connection.fetchrow(
        """
        SELECT relname, mode, pid, coalesce(nullif(application_name, ''), 'unknown') AS program
        FROM pg_locks
        JOIN pg_class ON pg_class.oid = relation
        LEFT JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'relation' AND relnamespace = 'kessai'::regnamespace AND relkind IN ('r', 'p')
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        ORDER BY granted DESC, pid
        LIMIT 1
        """
    )
    if lock is None:
        return None
    return (
        f"the table kessai.{lock['relname']} is locked ({lock['mode']}) by Postgres process {lock['pid']} "
        f"({lock['program']}): work goes on when that transaction ends"
    )
