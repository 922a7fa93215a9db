"""Brings the schema `kessai` to the newest revision, one migrator at a time, safe under running workers."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from shared.errors import DatabaseUnavailable, KessaiError

SCHEMA = "kessai"
_ADVISORY_LOCK = 0x6B657373616901  # "kessai" and the first of our locks
_LOCK_TIMEOUT = "10s"  # a migration that cannot get its table lock gives up instead of stalling the workers behind it


class MigrationFailed(KessaiError):
    """A revision could not be applied; it was rolled back whole."""


class WrongEncoding(KessaiError):
    """The raw bytes of a webhook are JSON, which is UTF-8: another encoding could not hold them as they came."""


def upgrade(database_url: str) -> str:
    """Apply every missing revision and return the newest one.

    Raises DatabaseUnavailable, MigrationFailed, WrongEncoding.
    """
    with _connect(database_url) as connection:
        _require_utf8(connection)
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        connection.commit()
        try:
            command.upgrade(_config(connection), "head")
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})
            connection.commit()
    return newest()


def _require_utf8(connection: Connection) -> None:
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise WrongEncoding(f"the database is encoded in {encoding}: create it anew with ENCODING 'UTF8'")


def upgrade_sql() -> str:
    """The SQL of every revision, for people who apply it by hand."""
    written = io.StringIO()
    config = _config(None)
    config.output_buffer = written
    command.upgrade(config, "head", sql=True)
    return f"CREATE SCHEMA IF NOT EXISTS {SCHEMA};\n\n{written.getvalue()}"


def current(database_url: str) -> str | None:
    """The revision the database is at; None before the first. Raises DatabaseUnavailable."""
    with _connect(database_url) as connection:
        context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
        return context.get_current_revision()


def newest() -> str:
    """The revision this build of Kessai wants."""
    return str(ScriptDirectory.from_config(_config(None)).get_current_head())


def is_known(revision: str) -> bool:
    """Whether this build of Kessai has the revision; a later build may have made the books."""
    return any(script.revision == revision for script in ScriptDirectory.from_config(_config(None)).walk_revisions())


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connect(database_url: str) -> Iterator[Connection]:
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(database_url, connect_timeout=10, application_name="kessai migrate"),
        poolclass=NullPool,
    )
    try:
        connection = engine.connect()
    except (DBAPIError, psycopg.Error) as error:
        raise DatabaseUnavailable(f"Postgres cannot be reached: {_first_line(error)}") from error
    with connection:
        try:
            yield connection
        except DBAPIError as error:
            raise MigrationFailed(f"the books stay as they were: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Of the driver's own message, without the statement that SQLAlchemy repeats."""
    return str(getattr(error, "orig", error)).strip().splitlines()[0]
