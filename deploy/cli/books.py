"""Connects a command to the books: one connection, one unit of work, and errors that name what to do next."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from shared.errors import KessaiError

if TYPE_CHECKING:
    from shared.ledger.database import Connection, Pool

T = TypeVar("T")

TRIES = 3
"""Attempts at one transaction that conflicts with others."""


class BooksOutdated(KessaiError):
    """The schema in the database is not that of this build of Kessai."""


def with_books(work: "Callable[[Connection], Awaitable[T]]", *, tries: int = TRIES) -> T:
    """Run one unit of work, which commits or changes nothing. Raises KessaiError."""
    import asyncio

    return asyncio.run(_with_books(work, tries))


async def _with_books(work: "Callable[[Connection], Awaitable[T]]", tries: int) -> T:
    async with open_books() as pool:
        return await commit(pool, work, tries=tries)


@asynccontextmanager
async def open_books(*, as_worker: bool = False) -> "AsyncIterator[Pool]":
    """Open the books that the environment names, for several units of work, or as a worker opens them.

    Raises SettingsError.
    """
    from shared.ledger.database import open_pool
    from shared.settings import Settings

    settings = Settings.from_env()
    pool = await open_pool(
        settings.require_database_url(),
        application="kessai cli",
        size=1,
        statement_timeout=settings.statement_timeout,
        keys_only=as_worker,
    )
    try:
        yield pool
    finally:
        pool.terminate()


async def commit(pool: "Pool", work: "Callable[[Connection], Awaitable[T]]", *, tries: int = TRIES) -> T:
    """Run a unit of work, and again when it conflicts with other transactions. Raises KessaiError."""
    from asyncpg import UndefinedColumnError, UndefinedFunctionError, UndefinedTableError

    from shared.errors import DatabaseUnavailable
    from shared.ledger.database import retry_conflicts, run

    outdated = (UndefinedTableError, UndefinedColumnError, UndefinedFunctionError)
    try:
        return await retry_conflicts(lambda: run(pool, work), tries=tries)
    except DatabaseUnavailable as error:
        if isinstance(error.__cause__, outdated):
            raise BooksOutdated(
                "the schema in the database is not that of this Kessai: run `kessai migrate`"
            ) from error
        raise


def actor() -> str:
    """Return the name of the acting user, as the audit records it."""
    import pwd

    number = os.getuid()
    try:
        return f"cli:{pwd.getpwuid(number).pw_name}"
    except KeyError:  # a container may run under a number without a name
        return f"cli:uid-{number}"
