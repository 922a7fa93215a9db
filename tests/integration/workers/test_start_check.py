"""What no wait can mend ends a worker with one line; a missing right for one piece of work only degrades it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from shared.ledger.database import open_pool, run
from shared.ledger.rights import GRANTS, BooksUnusable, require_usable
from tests.integration.workers.bench import Bench, until
from tests.programs import Kessai
from workers.archive_months import archive_months
from workers.database import RetryingDatabase


@pytest.fixture
def runtime_user(database_url: str) -> Iterator[str]:
    """The URL of a user who may connect and nothing else."""
    parts = urlsplit(database_url)
    name = f"runtime_{parts.path.removeprefix('/')}"
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(name)))
        yield parts._replace(netloc=f"{name}:secret@{parts.netloc.rpartition('@')[2]}").geturl()
        owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def grant(database_url: str, user_url: str) -> None:
    """What the message of the error says."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        for statement in GRANTS.format(user=urlsplit(user_url).username).split("; "):
            owner.execute(statement.encode())


async def usable(url: str) -> None:
    pool = await open_pool(url, application="test", size=1, statement_timeout=5)
    try:
        await run(pool, require_usable)
    finally:
        pool.terminate()


async def test_the_rights_that_the_error_names_are_enough_to_start(database_url: str, runtime_user: str) -> None:
    with pytest.raises(BooksUnusable, match="no right to use the schema kessai"):
        await usable(runtime_user)
    grant(database_url, runtime_user)
    await usable(runtime_user)
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(f"REVOKE UPDATE ON kessai.orders FROM {urlsplit(runtime_user).username}".encode())
    with pytest.raises(BooksUnusable, match=r"UPDATE on kessai\.orders"):
        await usable(runtime_user)


def test_a_worker_without_the_certificate_that_its_url_needs_ends_with_one_line(
    kessai: Kessai, database_url: str, tmp_path: Path
) -> None:
    environment = {"KESSAI_DATABASE_URL": f"{database_url}?sslmode=verify-full", "HOME": str(tmp_path)}
    ran = kessai("worker", "outbox", "--admin-port", "0", environment=environment, timeout=60)
    assert ran.returncode == 1
    assert "root certificate file" in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", [("worker", "outbox"), ("console", "--port", "0")], ids=lambda words: words[0])
def test_a_role_without_books_ends_with_one_line(kessai: Kessai, database_url: str, command: tuple[str, ...]) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("DROP SCHEMA kessai CASCADE")
    ran = kessai(*command, "--admin-port", "0", timeout=60)
    assert ran.returncode == 1
    assert "run `kessai migrate`" in ran.stderr.splitlines()[-1]


def test_a_worker_without_rights_ends_with_the_grants_that_it_needs(kessai: Kessai, runtime_user: str) -> None:
    environment = {"KESSAI_DATABASE_URL": runtime_user, "KESSAI_BATCHSIZE": "5"}
    ran = kessai("worker", "--admin-port", "0", environment=environment, timeout=60)
    assert ran.returncode == 1
    assert "GRANT USAGE ON SCHEMA kessai" in ran.stderr.splitlines()[-1]
    assert ran.stderr.count("the nearest name is KESSAI_BATCH_SIZE") == 1


async def test_a_user_who_may_not_make_months_is_named_and_degrades_the_worker(
    bench: Bench, database_url: str, runtime_user: str
) -> None:
    grant(database_url, runtime_user)
    for (month,) in await bench.books.rows(
        "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = 'kessai.webhook_archive'::regclass AND relname <> 'webhook_archive_default'"
    ):
        await bench.pool.execute(f"DROP TABLE {month}")
    pool = await open_pool(runtime_user, application="test", size=1, statement_timeout=5)
    months, stop = archive_months(RetryingDatabase(pool)), asyncio.Event()
    running = asyncio.create_task(months.run(stop))

    async def is_degraded() -> bool:
        return "archive months" in months.readiness().degraded

    try:
        await until(is_degraded)
        assert "member of the role that owns" in months.readiness().degraded["archive months"]
    finally:
        stop.set()
        await running
        pool.terminate()
