"""Runs the transactions of workers: waits while Postgres is away, and retries after conflicts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import structlog

from shared.broker.backoff import Backoff
from shared.broker.errors import HoldTooLong
from shared.errors import DatabaseUnavailable, SettingsError
from shared.ledger.database import BlockedByLock, Connection, Pool, TransientConflict, retry_conflicts, run
from shared.ledger.table_locks import table_lock
from shared.stopping import cut_at_stop

CONFLICT_TRIES = 5
"""Tries of one transaction that conflicts with others."""
HOLD_SECONDS = 25 * 60.0
"""How long work is held while Postgres is away: below RabbitMQ's consumer timeout of 30 minutes."""

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[object]]
log = structlog.get_logger("kessai.worker")


class RetryingDatabase:
    """Runs transactions for a worker role. An outage is no fault of the work, so the work is held and tried again."""

    def __init__(
        self,
        pool: Pool,
        *,
        stop: asyncio.Event | None = None,
        retried: Callable[[str], None] = lambda _: None,
        up: Callable[[Callable[[], bool]], None] = lambda _: None,
        waits_for_table_locks: bool = True,
    ) -> None:
        """`stop` ends the wait of work for which no deliveries are held.

        `retried` is called with the class of each retried error, `up` once, with what tells if Postgres is there.
        Without `waits_for_table_locks`, work that a locked table blocks fails with TransientConflict.
        """
        self._pool = pool
        self._waits_for_table_locks = waits_for_table_locks
        self._stop = stop
        self._retried = retried
        self._given_up: Work | None = None
        """What an outage has ended, until Postgres takes it."""
        self.down_because: str | None = None
        """Why nothing can be committed for now."""
        up(lambda: self.down_because is None)

    async def run(self, work: Callable[[Connection], Awaitable[T]], /, *, held: int = 0) -> T:
        """Run work that commits or changes nothing; `held` deliveries wait for it meanwhile.

        Raises HoldTooLong when Postgres stayed away and deliveries are held, TransientConflict when other transactions
        stayed in the way, UnacceptableRow when the data itself is refused, and CancelledError when the role is stopped
        while Postgres is away and no deliveries are held.
        """
        seconds = HOLD_SECONDS if held else float("inf")

        async def attempt() -> T:
            try:
                return await self._wait_out_outages(work, held, seconds=seconds)
            except TransientConflict as conflict:
                self._retried(_name(conflict))
                raise

        return await retry_conflicts(attempt, tries=CONFLICT_TRIES)

    async def until_ready(self) -> None:
        """Return when Postgres takes writes.

        A standby and a full disk still answer queries, so the check writes and rolls back: a row or, after HoldTooLong,
        the work that was given up, because a full disk may take a row and refuse a batch.
        """
        work = self._given_up or _write_row
        try:
            await self._wait_out_outages(partial(_rehearse, work), 0, seconds=float("inf"))
        except SettingsError:
            raise
        except Exception:  # noqa: S110 - an error of the work itself: Postgres took it as far as that
            pass
        if self._given_up is work:
            self._given_up = None

    async def _wait_out_outages(self, work: Callable[[Connection], Awaitable[T]], held: int, *, seconds: float) -> T:
        backoff = Backoff(first=0.1, limit=5.0)
        deadline = time.monotonic() + seconds
        while True:
            try:
                done = await self._listening(self._attempt(work, held), held)
            except DatabaseUnavailable as error:
                _end_if_cancelled(error)
                self._note_outage(error, held)
                if time.monotonic() > deadline:
                    self._given_up = work
                    raise HoldTooLong(f"held {held} deliveries for {seconds:g} s: {error}") from error
                await self._listening(asyncio.sleep(backoff.next()), held)
            except Exception:  # an error of the work itself: Postgres is there
                self._note_recovery()
                raise
            else:
                self._note_recovery()
                return done

    async def _attempt(self, work: Callable[[Connection], Awaitable[T]], held: int) -> T:
        """Run the work once. A lock of a whole table is an outage: other work cannot be committed, either."""
        try:
            return await run(self._pool, work)
        except SettingsError as error:
            if not held:
                raise
            raise DatabaseUnavailable(str(error)) from error  # the deliveries are not at fault: they are held
        except BlockedByLock as blocked:
            if not self._waits_for_table_locks:
                raise
            lock = await run(self._pool, table_lock)
            if lock is None:
                raise
            raise DatabaseUnavailable(f"Postgres: {lock}") from blocked.__cause__

    async def _listening(self, step: Awaitable[T], held: int) -> T:
        """One step of a wait; in an outage, a stop ends it when no deliveries are held."""
        if self._stop is None or held or self.down_because is None:
            return await step
        return await cut_at_stop(self._stop, step)

    def _note_outage(self, error: DatabaseUnavailable, held: int) -> None:
        if self.down_because is None:
            log.warning("worker.holding", deliveries=held, error=str(error))
        self.down_because = str(error)
        self._retried(_name(error))

    def _note_recovery(self) -> None:
        if self.down_because is not None:
            self.down_because = None
            log.info("worker.resumed")


def _end_if_cancelled(error: Exception) -> None:
    """Raise CancelledError in a cancelled task: the rollback of its transaction may have put an error in its place."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


async def _rehearse(work: Work, connection: Connection) -> None:
    """Run the work and undo it."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await work(connection)
    finally:
        await transaction.rollback()


async def _write_row(connection: Connection) -> None:
    await connection.execute(
        """
        INSERT INTO kessai.tallies (at, endpoint, kind, outcome, key_fingerprint, deliveries, longest_wait)
        VALUES (now(), '', '', '', '', 0, 0)
        """
    )


def _name(error: Exception) -> str:
    return type(error.__cause__ or error).__name__
