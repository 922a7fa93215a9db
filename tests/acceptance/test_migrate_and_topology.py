"""Books and queues are made, and made again, by one command each."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiormq
import psycopg
import pytest

from tests.acceptance.conftest import assert_one_line
from tests.programs import Kessai


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    name = urlsplit(database_url).path.removeprefix("/") + "_empty"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        yield database_url.rpartition("/")[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_migrate_makes_the_books_once(kessai: Kessai, empty_database: str) -> None:
    empty = {"KESSAI_DATABASE_URL": empty_database}
    first = kessai("migrate", environment=empty)
    assert first.returncode == 0, first.stderr
    assert "nothing → " in first.stdout
    again = kessai("migrate", environment=empty)
    assert again.returncode == 0
    assert "already" in again.stdout
    assert kessai("orders", "list", "--json", environment=empty).array() == []


def test_migrate_prints_sql_that_makes_the_same_books(kessai: Kessai, empty_database: str) -> None:
    printed = kessai("migrate", "--sql")
    assert printed.returncode == 0
    assert printed.stderr == ""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(printed.stdout.encode())
    by_hand = kessai("migrate", environment={"KESSAI_DATABASE_URL": empty_database})
    assert "already" in by_hand.stdout


def test_migrate_leaves_newer_books_as_they_are(kessai: Kessai, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE kessai.alembic_version SET version_num = 'of_tomorrow'")
        ran = kessai("migrate")
        assert ran.returncode == 0, ran.stderr
        assert (
            ran.stdout
            == "the books are at revision of_tomorrow, which is newer than this Kessai: nothing was changed\n"
        )
        assert connection.execute("SELECT version_num FROM kessai.alembic_version").fetchall() == [("of_tomorrow",)]


def test_topology_is_applied_and_verified(kessai: Kessai) -> None:
    missing = kessai("topology", "verify")
    assert_one_line(missing, says="kessai.confirmations is missing")
    for command in ("apply", "verify", "apply"):
        ran = kessai("topology", command)
        assert ran.returncode == 0, ran.stderr
        assert "9 queues" in ran.stdout


def test_a_queue_in_another_form_is_named(kessai: Kessai, amqp_url: str) -> None:
    asyncio.run(_declare_wrongly(amqp_url))
    for command in ("apply", "verify"):
        assert_one_line(kessai("topology", command), says="kessai.confirmations is there in another form")


async def _declare_wrongly(amqp_url: str) -> None:
    connection = await aiormq.connect(amqp_url)
    channel = await connection.channel()
    await channel.queue_declare("kessai.confirmations", durable=True)
    await connection.close()
