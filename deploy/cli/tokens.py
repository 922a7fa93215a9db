"""`kessai tokens`: the tokens that scripts call the admin API with."""

from datetime import timedelta
from typing import Annotated

import typer

from deploy.cli.books import actor, with_books
from deploy.cli.options import AsJson, TokenDays
from deploy.cli.output import print_json, print_table, say

app = typer.Typer(name="tokens", help="Manage the tokens that scripts call the admin API with.", no_args_is_help=True)

User = Annotated[str, typer.Argument(metavar="USER", help="User whose role the token has: see `kessai users list`.")]
NewLabel = Annotated[str, typer.Option("--label", help="What the token is for: 1 to 64 letters, digits and . _ @ + -")]
Label = Annotated[str, typer.Argument(metavar="LABEL", help="Label of the token: see `kessai tokens list`.")]


@app.command()
def add(user: User, label: NewLabel, days: TokenDays = None) -> None:
    """Create a token and print it, this once. It has the role of its user, as long as that user is not disabled."""
    from shared.ledger import api_tokens

    lifetime = None if days is None else timedelta(days=days)
    token = with_books(lambda connection: api_tokens.add(connection, user, label, lifetime=lifetime, actor=actor()))
    typer.echo(token)
    say("keep the token safe: it is not shown again, and the books hold only its hash")


@app.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List every token that was not revoked: its user, its label, and when it was last used."""
    from shared.ledger import api_tokens

    found = with_books(api_tokens.everyone)
    if as_json:
        print_json(found)
        return
    print_table(
        ("user", "label", "role", "added", "last used", "expires", "live"),
        [(t.user_name, t.label, t.role, t.created_at, t.used_at, t.expires_at, t.is_live) for t in found],
        empty="no tokens: create one with `kessai tokens add USER --label LABEL`",
    )


@app.command()
def revoke(user: User, label: Label) -> None:
    """Revoke a token at once and permanently."""
    from shared.ledger import api_tokens

    with_books(lambda connection: api_tokens.revoke(connection, user, label, actor=actor()))
    typer.echo(f"token {label} of {user} is revoked")
