"""`kessai tokens`: what scripts call the admin API with."""

from datetime import timedelta
from typing import Annotated

import typer

from deploy.cli.books import actor, with_books
from deploy.cli.show import AsJson, print_json, print_table, say

app = typer.Typer(name="tokens", help="What scripts call the admin API with.", no_args_is_help=True)

User = Annotated[str, typer.Argument(metavar="USER", help="Whom the token speaks for: see `kessai users list`.")]
NewLabel = Annotated[str, typer.Option("--label", help="What the token is for: 1 to 64 letters, digits and . _ @ + -")]
Label = Annotated[str, typer.Argument(metavar="LABEL", help="See `kessai tokens list`.")]
Days = Annotated[int | None, typer.Option("--days", min=1, max=36500, help="After so many it expires; else never.")]


@app.command()
def add(user: User, label: NewLabel, days: Days = None) -> None:
    """Give out a token, which is shown this once. It may do what its user may, as long as the user may come in."""
    from shared.ledger import api_tokens

    lifetime = None if days is None else timedelta(days=days)
    token = with_books(lambda connection: api_tokens.add(connection, user, label, lifetime=lifetime, actor=actor()))
    typer.echo(token)
    say("keep it safe: it is not shown again, and the books cannot tell it")


@app.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """Every token that was not revoked: whose, what for, and when it was last used."""
    from shared.ledger import api_tokens

    found = with_books(api_tokens.everyone)
    if as_json:
        print_json(found)
        return
    print_table(
        ("user", "label", "role", "added", "last used", "expires", "live"),
        [(t.user_name, t.label, t.role, t.created_at, t.used_at, t.expires_at, t.is_live) for t in found],
        empty="no tokens: give one out with `kessai tokens add USER --label WHAT-FOR`",
    )


@app.command()
def revoke(user: User, label: Label) -> None:
    """Make a token worthless, now and for good."""
    from shared.ledger import api_tokens

    with_books(lambda connection: api_tokens.revoke(connection, user, label, actor=actor()))
    typer.echo(f"token {label} of {user} is revoked")
