"""Are the books there, current and in time? Postgres, migrations, partitions, clocks, and what waits in the books."""

import time
from collections.abc import AsyncIterator
from contextlib import suppress

from deploy.cli.books import BooksOutdated, commit, open_books
from deploy.doctor.finding import (
    ARCHIVE,
    CLOCK,
    DATABASE,
    MIGRATIONS,
    OPEN_WORK,
    OUTBOX,
    Finding,
    fail,
    ok,
    warn,
)
from shared.errors import KessaiError
from shared.ledger import migrate
from shared.ledger.database import Connection
from shared.plurals import counted
from shared.settings import Settings

OLDEST_POSTGRES = 14
CLOCK_TOLERANCE = 5.0
"""Seconds between our clock and Postgres's; signatures tolerate 300."""
OUTBOX_PATIENCE = 60.0
"""Seconds that a committed fact may wait for its relay."""


async def examine_database(settings: Settings) -> AsyncIterator[Finding]:
    try:
        url = settings.require_database_url()
        async with open_books() as pool:
            yield await commit(pool, _server)
            yield await commit(pool, _clock)
            revision = _revision(url)
            yield revision
            with suppress(BooksOutdated):  # the revision tells it already
                yield await commit(pool, _partitions)
                yield await commit(pool, _outbox)
                yield await commit(pool, _open_work)
    except KessaiError as error:
        yield fail(DATABASE, str(error), "check KESSAI_DATABASE_URL and that Postgres runs; workers hold until then")


async def _server(connection: Connection) -> Finding:
    version: str = await connection.fetchval("SHOW server_version")
    number = connection.get_server_version()
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        return fail(DATABASE, f"{version}, a read-only standby", "point KESSAI_DATABASE_URL at the primary")
    if number.major < OLDEST_POSTGRES:
        return warn(DATABASE, version, f"Kessai is tested on {OLDEST_POSTGRES} and later")
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        return warn(
            DATABASE, f"{version}, synchronous_commit off", "a crash may forget what was acknowledged: turn it on"
        )
    return ok(DATABASE, f"{version} answers")


async def _clock(connection: Connection) -> Finding:
    began = time.time()
    theirs: float = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
    away = theirs - (began + time.time()) / 2
    found = f"Postgres and this machine differ by {abs(away):.2f} s"
    if abs(away) > CLOCK_TOLERANCE:
        return warn(CLOCK, found, "let both follow NTP: a wrong clock refuses every signature")
    return ok(CLOCK, found)


def _revision(url: str) -> Finding:
    current, newest = migrate.current(url), migrate.newest()
    if current == newest:
        return ok(MIGRATIONS, f"at {current}, the newest")
    if current is None:
        return fail(MIGRATIONS, "no books yet", "run `kessai migrate`")
    if not migrate.is_known(current):
        return fail(MIGRATIONS, f"at {current}, which this Kessai does not know", "run the Kessai that made it")
    return fail(MIGRATIONS, f"at {current}, {newest} is due", "run `kessai migrate`")


async def _partitions(connection: Connection) -> Finding:
    missing: list[str] = await connection.fetchval(
        """
        SELECT coalesce(array_agg(to_char(month, 'YYYY-MM') ORDER BY month), '{}')
        FROM unnest(ARRAY[now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC' + interval '1 month']) AS month
        WHERE to_regclass('kessai.webhook_archive_' || to_char(month, 'YYYY_MM')) IS NULL
        """
    )
    if await connection.fetchval("SELECT EXISTS (SELECT FROM kessai.webhook_archive_default)"):
        return warn(
            ARCHIVE,
            "some webhooks lie in the default partition",
            "a partition for their month was missing when they came: keep a worker running",
        )
    if missing:
        return warn(ARCHIVE, f"no partition for {', '.join(missing)}", "a running worker makes it: start one")
    return ok(ARCHIVE, "partitions for this month and the next")


async def _outbox(connection: Connection) -> Finding:
    waiting = await connection.fetchrow(
        """
        SELECT count(*) AS facts, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age
        FROM (SELECT created_at FROM kessai.outbox WHERE published_at IS NULL ORDER BY shard, outbox_id LIMIT 10000)
             AS waiting
        """
    )
    assert waiting is not None  # noqa: S101 - an aggregate always has its row
    found = f"waiting to be relayed: {counted(waiting['facts'], 'fact')}"
    if waiting["age"] > OUTBOX_PATIENCE:
        return fail(OUTBOX, f"{found}, the oldest for {waiting['age']:.0f} s", "run `kessai worker outbox`")
    return ok(OUTBOX, found)


async def _open_work(connection: Connection) -> Finding:
    open_reviews: int = await connection.fetchval("SELECT count(*) FROM kessai.reviews WHERE state = 'open'")
    letters: int = await connection.fetchval(
        "SELECT count(*) FROM kessai.dead_letters WHERE last_seen > now() - interval '1 day'"
    )
    found = f"{counted(open_reviews, 'open review')}, {counted(letters, 'dead letter')} in the last day"
    if letters:
        return warn(OPEN_WORK, found, "see `kessai dead-letters list` and `kessai reviews list --state open`")
    return ok(OPEN_WORK, found)
