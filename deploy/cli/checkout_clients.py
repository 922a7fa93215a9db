"""`kessai checkout-clients`: the merchant's own systems that may start payments."""

from datetime import timedelta
from typing import Annotated

import typer

from deploy.cli.books import actor, with_books
from deploy.cli.endpoint_names import require_name
from deploy.cli.options import AsJson, TokenDays
from deploy.cli.output import print_json, print_table, say
from shared.endpoints import DEFAULT_ENDPOINT

app = typer.Typer(
    name="checkout-clients", help="Manage which of your systems may call the checkout API.", no_args_is_help=True
)

NewName = Annotated[
    str, typer.Argument(metavar="NAME", help="A new name, e.g. shop-backend: 1 to 64 letters, digits and . _ @ + -")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the system: see `kessai checkout-clients list`.")]
Endpoint = Annotated[str, typer.Option("--endpoint", help="The endpoint for whose orders it may start payments.")]


@app.command()
def add(name: NewName, endpoint: Endpoint = DEFAULT_ENDPOINT, days: TokenDays = None) -> None:
    """Create the token of a system and print it, this once."""
    from shared.ledger import checkout_clients

    require_name(endpoint, unknown="so a checkout that lacks it refuses each call with this token")
    lifetime = None if days is None else timedelta(days=days)
    token = with_books(
        lambda connection: checkout_clients.add(connection, name, endpoint, lifetime=lifetime, actor=actor())
    )
    typer.echo(token)
    say("keep the token safe, and out of browsers: it is not shown again, and the books hold only its hash")


@app.command("list")
def list_clients(as_json: AsJson = False) -> None:
    """List every system whose token was not revoked: its endpoint, and when it last called."""
    from shared.ledger import checkout_clients

    found = with_books(checkout_clients.everyone)
    if as_json:
        print_json(found)
        return
    print_table(
        ("name", "endpoint", "added", "last used", "expires", "live"),
        [(c.name, c.endpoint, c.created_at, c.used_at, c.expires_at, c.is_live) for c in found],
        empty="no clients: add one with `kessai checkout-clients add NAME`",
    )


@app.command()
def revoke(name: Name) -> None:
    """Revoke a system's token at once and permanently."""
    from shared.ledger import checkout_clients

    with_books(lambda connection: checkout_clients.revoke(connection, name, actor=actor()))
    typer.echo(f"the token of {name} is revoked")
