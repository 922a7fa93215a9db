"""Connections to Postgres, and what its errors mean to us."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import asyncpg
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from shared.errors import DatabaseUnavailable, KessaiError, SettingsError
from shared.server_urls import database_address

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

T = TypeVar("T")

ACQUIRE_TIMEOUT = 10.0
"""Seconds to wait for a connection of the pool; without it a full pool waits for ever."""
CONNECT_TIMEOUT = 60.0
"""Seconds that a new connection may take to open when KESSAI_DATABASE_URL has no `connect_timeout`."""

NO_JIT: Final = {"jit": "off"}
KEYS_ONLY: Final = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""Postgres settings of connections that find every row by its key."""

KEYS_LOCK_TIMEOUT = 2.0
"""Seconds such work waits for a lock: a row that somebody else keeps locked must not hold up the events beside it."""


class TransientConflict(KessaiError):
    """Another transaction was in the way; the same work will succeed when tried again."""


class BlockedByLock(TransientConflict):
    """A lock was not free, or the statement was not done, in time; the wait says nothing about the work."""


class UnacceptableRow(KessaiError):
    """Postgres refuses the data itself; no retry will change that."""


_UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg makes of a connection that was cut while it lay in the pool
    asyncpg.OperatorInterventionError,  # 57P0x: shutdown, crash, cannot connect now; 57014 is handled before it
    asyncpg.InsufficientResourcesError,  # 53xxx: too many connections, disk full
    asyncpg.ReadOnlySQLTransactionError,  # 25006: a failover left us on a standby
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.SyntaxOrAccessError,  # 42xxx: the schema is older than this program, or a right is missing
    OSError,
    TimeoutError,
)
_CONFLICT = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_BLOCKED = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError)  # lock_timeout, statement_timeout
_UNACCEPTABLE = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)


@asynccontextmanager
async def connected(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for one piece of work; the one place where driver errors become ours.

    Raises DatabaseUnavailable (nothing is known to be wrong with the work), TransientConflict or UnacceptableRow, and
    SettingsError when the URL asks for what this machine does not have, as a certificate.
    """
    connection: Connection | None = None
    try:
        async with pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
            yield connection
    except _BLOCKED as error:
        raise BlockedByLock(f"Postgres: {_first_line(error)}") from error
    except _CONFLICT as error:
        raise TransientConflict(f"Postgres: {_first_line(error)}") from error
    except _UNACCEPTABLE as error:
        raise UnacceptableRow(f"{type(error).__name__}: {_first_line(error)}") from error
    except asyncpg.ReadOnlySQLTransactionError as error:
        await pool.expire_connections()
        raise DatabaseUnavailable("Postgres is read-only here: connections to the old primary are given up") from error
    except asyncpg.ClientConfigurationError as error:
        raise SettingsError(f"KESSAI_DATABASE_URL cannot be used: {_first_line(error)}") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise DatabaseUnavailable(f"Postgres refuses what its user has no right to: {_first_line(error)}") from error
    except _UNAVAILABLE as error:
        raise DatabaseUnavailable(f"Postgres is unavailable: {_first_line(error)}") from error
    except asyncpg.PostgresError as error:
        if connection is not None:
            raise
        raise DatabaseUnavailable(f"Postgres lets nobody in: {_first_line(error)}") from error


async def run(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run work that commits or changes nothing on a connection of its own. Raises what `connected` raises."""
    async with connected(pool) as connection:
        return await work(connection)


def _is_conflict(error: BaseException) -> bool:
    return isinstance(error, TransientConflict)


async def retry_conflicts(
    attempt: Callable[[], Awaitable[T]], *, tries: int, retry_if: Callable[[BaseException], bool] = _is_conflict
) -> T:
    """Make up to `tries` attempts while other transactions are in the way. Raises the last attempt's error."""
    retrying = AsyncRetrying(
        retry=retry_if_exception(retry_if),
        stop=stop_after_attempt(tries),
        wait=wait_exponential_jitter(multiplier=0.02, max=1.0, jitter=0.02),  # seconds
        reraise=True,
    )

    async def once() -> T:  # tenacity awaits coroutine functions alone
        return await attempt()

    result: T = await retrying(once)
    return result


async def open_pool(
    database_url: str, *, application: str, size: int, statement_timeout: float, keys_only: bool = False
) -> Pool:
    """A pool that opens connections when they are first needed; an absent Postgres is met at the first use.

    Raises SettingsError for parameters of the URL that are not supported, DatabaseUnavailable for other errors in it.
    `statement_timeout` is in seconds. `keys_only` is for work that finds every row by its key: it forbids the scans
    and hash joins that a planner without statistics would choose on a young table and keep for a grown one.
    """
    address = database_address(database_url)
    settings = {
        "application_name": application,
        # Whatever the database defaults to: a look after waiting for a lock must see what was committed meanwhile.
        "default_transaction_isolation": "read committed",
        "statement_timeout": str(int(statement_timeout * 1000)),
        "lock_timeout": str(int(statement_timeout * 500)),
        "idle_in_transaction_session_timeout": str(int(statement_timeout * 2000)),
        **NO_JIT,
    }
    if keys_only:
        settings |= KEYS_ONLY | {"lock_timeout": str(int(KEYS_LOCK_TIMEOUT * 1000))}
    try:
        return await asyncpg.create_pool(
            address.url,
            min_size=0,
            max_size=size,
            command_timeout=statement_timeout + 5,
            max_inactive_connection_lifetime=300,
            server_settings=settings,
            timeout=address.timeout or CONNECT_TIMEOUT,
            ssl=address.verify_by_system or None,
        )
    except (asyncpg.ClientConfigurationError, ValueError) as error:
        raise DatabaseUnavailable(f"KESSAI_DATABASE_URL cannot be used: {_first_line(error)}") from error


def affected(status: str) -> int:
    """Rows of a command tag such as `INSERT 0 12`."""
    return int(status.rpartition(" ")[2])


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
