"""`kessai migrate`: brings the schema of the books in Postgres to the newest revision."""

from typing import Annotated

import typer

Sql = Annotated[bool, typer.Option("--sql", help="Only print the SQL of every revision, to apply it by hand.")]


def migrate(sql: Sql = False) -> None:
    """Create the books in Postgres, or bring them to the newest revision. It is safe while workers run.

    Books that are newer than this Kessai are left as they are, so that an older version can start again.
    """
    from shared.ledger import migrate as books
    from shared.settings import Settings

    if sql:
        typer.echo(books.upgrade_sql(), nl=False)
        return
    url = Settings.from_env().require_database_url()
    before = books.current(url)
    if before is not None and not books.is_known(before):
        typer.echo(f"the books are at revision {before}, which is newer than this Kessai: nothing was changed")
        return
    after = books.upgrade(url)
    if before == after:
        typer.echo(f"the books are at revision {after} already")
    else:
        typer.echo(f"the books went from {before or 'nothing'} → revision {after}")
