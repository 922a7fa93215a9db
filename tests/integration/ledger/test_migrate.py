"""The schema comes up once, whoever asks and however often; by hand it comes up the same."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import LiteralString
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from shared.errors import DatabaseUnavailable
from shared.ledger import migrate


@pytest.fixture
def empty_url(database_url: str) -> Iterator[str]:
    """A database beside the test's own, with nothing in it."""
    with empty_database(database_url, "CREATE DATABASE {} TEMPLATE template0") as url:
        yield url


@contextmanager
def empty_database(database_url: str, statement: LiteralString) -> Iterator[str]:
    name = f"empty_{uuid4().hex[:12]}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
        yield urlunsplit(urlsplit(database_url)._replace(path=f"/{name}"))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def schema_of(url: str) -> list[tuple[object, ...]]:
    """Every column, constraint, index, function and partition of the schema, as Postgres describes them."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            """
            SELECT 'column', attrelid::regclass::text, attnum::text, attname, format_type(atttypid, atttypmod),
                   attnotnull::text || attidentity::text || coalesce(pg_get_expr(adbin, adrelid), '')
            FROM pg_attribute
            JOIN pg_class ON pg_class.oid = attrelid
            LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
            WHERE relnamespace = 'kessai'::regnamespace AND attnum > 0 AND NOT attisdropped
            UNION ALL
            SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', ''
            FROM pg_constraint WHERE connamespace = 'kessai'::regnamespace
            UNION ALL
            SELECT 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid), '', ''
            FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'kessai'::regnamespace
            UNION ALL
            SELECT 'function', proname, pg_get_functiondef(oid), '', '', ''
            FROM pg_proc WHERE pronamespace = 'kessai'::regnamespace
            UNION ALL
            SELECT 'table', oid::regclass::text, relkind::text, reloptions::text,
                   coalesce(pg_get_expr(relpartbound, oid), ''), ''
            FROM pg_class WHERE relnamespace = 'kessai'::regnamespace
            ORDER BY 1, 2, 3, 4
            """
        ).fetchall()


def test_an_empty_database_is_brought_to_the_newest_revision(empty_url: str) -> None:
    assert migrate.current(empty_url) is None
    assert migrate.upgrade(empty_url) == migrate.newest()
    assert migrate.current(empty_url) == migrate.newest()


def test_a_second_run_changes_nothing(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    before = schema_of(empty_url)
    assert migrate.upgrade(empty_url) == migrate.newest()
    assert schema_of(empty_url) == before


def test_several_migrators_at_once_do_it_once(empty_url: str, database_url: str) -> None:
    with ThreadPoolExecutor() as together:
        done = list(together.map(migrate.upgrade, [empty_url] * 4))
    assert done == [migrate.newest()] * 4
    assert schema_of(empty_url) == schema_of(database_url)


def test_the_sql_for_hand_work_makes_the_same_schema(empty_url: str, database_url: str) -> None:
    psql = ["psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", empty_url]
    done = subprocess.run(psql, input=migrate.upgrade_sql(), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert schema_of(empty_url) == schema_of(database_url)
    assert migrate.current(empty_url) == migrate.newest()
    migrate.upgrade(empty_url)


def test_a_database_that_could_not_hold_the_bytes_is_refused(database_url: str) -> None:
    latin = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    with empty_database(database_url, latin) as url:
        with pytest.raises(migrate.WrongEncoding, match="LATIN1"):
            migrate.upgrade(url)
        assert migrate.current(url) is None


def test_a_database_that_is_not_there_is_said_in_one_line() -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot be reached") as refused:
        migrate.upgrade("postgresql://kessai@127.0.0.1:1/kessai")
    assert "\n" not in str(refused.value)
