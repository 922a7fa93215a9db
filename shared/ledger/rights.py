"""Checks that the books are there and that the user of Postgres may use them: no wait mends either."""

from collections.abc import Sequence
from typing import Final

from shared.errors import KessaiError
from shared.ledger.database import Connection

GRANTS: Final = (
    "GRANT USAGE ON SCHEMA kessai TO {user}; "
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA kessai TO {user}"
)
NEEDED: Final = (
    ("webhook_events", "SELECT, INSERT, UPDATE"),
    ("webhook_archive", "SELECT, INSERT"),
    ("orders", "SELECT, INSERT, UPDATE"),
    ("challenges", "SELECT, INSERT"),
    ("reviews", "SELECT, INSERT, UPDATE"),
    ("outbox", "SELECT, INSERT, UPDATE"),
    ("dead_letters", "SELECT, INSERT, UPDATE"),
    ("dead_letter_tallies", "SELECT, INSERT"),
    ("metered_usage", "SELECT, INSERT"),
    ("settlement_batches", "SELECT, INSERT"),
    ("tallies", "SELECT, INSERT, DELETE"),
    ("audit", "SELECT, INSERT"),
)
"""Tables that every installation writes, with the rights that it needs."""


class MissingRight(KessaiError):
    """The user of Postgres may not do what one piece of work needs; the rest goes on."""


class BooksUnusable(KessaiError):
    """The books are missing, or a right is missing; the message names what to run."""


async def require_usable(connection: Connection) -> None:
    """Raises BooksUnusable."""
    if await connection.fetchval("SELECT to_regnamespace('kessai') IS NULL"):
        raise _no_books()
    user = str(await connection.fetchval("SELECT quote_ident(current_user)"))
    if not await connection.fetchval("SELECT has_schema_privilege('kessai', 'USAGE')"):
        raise _missing_right("use the schema kessai", user)
    found = {table: await _missing(connection, table, rights) for table, rights in NEEDED}
    if any(missing is None for missing in found.values()):
        raise _no_books()
    refused = next((f"{' and '.join(missing)} on kessai.{table}" for table, missing in found.items() if missing), None)
    if refused is not None:
        raise _missing_right(refused, user)


async def _missing(connection: Connection, table: str, rights: str) -> Sequence[str] | None:
    """The rights that the user does not have, not even on some column; None when the table does not exist."""
    missing: Sequence[str] | None = await connection.fetchval(
        """
        SELECT CASE WHEN to_regclass('kessai.' || $1) IS NOT NULL THEN
            ARRAY(
                SELECT needed FROM unnest(string_to_array($2, ', ')) AS needed
                WHERE NOT has_table_privilege('kessai.' || $1, needed) AND (
                    needed = 'DELETE' OR NOT has_any_column_privilege('kessai.' || $1, needed)
                )
            )
        END
        """,
        table,
        rights,
    )
    return missing


def _no_books() -> BooksUnusable:
    return BooksUnusable("this database holds no books of Kessai, or old ones: run `kessai migrate`")


def _missing_right(what: str, user: str) -> BooksUnusable:
    return BooksUnusable(f"the Postgres user {user} has no right to {what}: run {GRANTS.format(user=user)}")
