"""How far back must a run through a list read? As far as something may have changed, and everything now and then.

Lists come newest first, as far as anybody has seen; nothing documents it. So a run ends early only while each page has
kept to that order, and a whole one follows every so often, for what came late or changed when nobody expected it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from shared.ledger.database import Connection
from shared.ledger.revenue.conditions import OPEN_MONEY
from shared.ledger.revenue.syncs import Sync

OVERLAP: Final = timedelta(days=1)
"""How much later than its own time a row may come to be listed."""
SETTLING_TIME: Final = timedelta(days=120)
"""How long usage may take until its batch is settled, given up or past due.

That is longer than any period, its notice and all retries take. What is older is expected to change no more.
"""
WHOLE_EVERY: Final = timedelta(days=7)


def read_back_to(sync: Sync, *, oldest_waiting: datetime | None, since: datetime | None) -> datetime | None:
    """Rows older than this need not be read; None when all must be.

    `oldest_waiting` is the oldest row that is expected to change, `since` what somebody asked for.
    """
    if sync.begun_at is None or sync.complete_as_of is None or sync.whole_as_of is None:
        return None
    if sync.begun_at - sync.whole_as_of >= WHOLE_EVERY:
        return None
    times = [sync.complete_as_of - OVERLAP]
    times += [] if oldest_waiting is None else [max(oldest_waiting, sync.begun_at - SETTLING_TIME)]
    times += [] if since is None else [since]
    return min(times)


class Descent:
    """Whether the pages of one run, one after another, have gone down past a time."""

    def __init__(self, until: datetime | None) -> None:
        """None: nothing is ever far enough."""
        self._until = until
        self._last: datetime | None = None

    def has_passed(self, page: Iterable[datetime | None]) -> bool:
        """Given when each row of the next page came about, in the order of the page."""
        for at in page:
            if at is None or (self._last is not None and at > self._last):
                self._until = None  # in no order that we know: nothing can be left out
                break
            self._last = at
        return self._until is not None and self._last is not None and self._last < self._until


async def oldest_unbatched(connection: Connection, endpoint: str) -> datetime | None:
    """When the oldest usage was that stands in no batch yet."""
    oldest: datetime | None = await connection.fetchval(
        "SELECT min(created_at) FROM kessai.statement_usage WHERE endpoint = $1 AND settlement_batch_id IS NULL",
        endpoint,
    )
    return oldest


async def unfinished_batches(connection: Connection, endpoint: str) -> set[str]:
    """Those that may still be settled or given up."""
    rows = await connection.fetch(
        f"""
        SELECT settlement_batch_id
        FROM kessai.statement_batches
        WHERE endpoint = $1 AND money IN {OPEN_MONEY}
        """,
        endpoint,
    )
    return {row["settlement_batch_id"] for row in rows}
