"""`kessai checkout-clients`: which of a merchant's own systems may start payments."""

from datetime import timedelta
from typing import Annotated

import typer

from deploy.cli.books import actor, with_books
from deploy.cli.endpoint_names import require_name
from deploy.cli.show import AsJson, print_json, print_table, say
from shared.endpoints import DEFAULT_ENDPOINT

app = typer.Typer(
    name="checkout-clients", help="Which of your systems may call the checkout API.", no_args_is_help=True
)

NewName = Annotated[
    str, typer.Argument(metavar="NAME", help="The system, e.g. shop-backend: 1 to 64 letters, digits and . _ @ + -")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="See `kessai checkout-clients list`.")]
Endpoint = Annotated[str, typer.Option("--endpoint", help="Whose orders it may start payments of.")]
Days = Annotated[int | None, typer.Option("--days", min=1, max=36500, help="After so many its token expires.")]


@app.command()
def add(name: NewName, endpoint: Endpoint = DEFAULT_ENDPOINT, days: Days = None) -> None:
    """Give a system its token, which is shown this once."""
    from shared.ledger import checkout_clients

    require_name(endpoint, unknown="and where it is not, each call with this token is refused")
    lifetime = None if days is None else timedelta(days=days)
    token = with_books(
        lambda connection: checkout_clients.add(connection, name, endpoint, lifetime=lifetime, actor=actor())
    )
    typer.echo(token)
    say("keep it safe, and out of browsers: it is not shown again, and the books cannot tell it")


@app.command("list")
def list_clients(as_json: AsJson = False) -> None:
    """Every system whose token was not revoked: for which endpoint, and when it last called."""
    from shared.ledger import checkout_clients

    found = with_books(checkout_clients.everyone)
    if as_json:
        print_json(found)
        return
    print_table(
        ("name", "endpoint", "added", "last used", "expires", "live"),
        [(c.name, c.endpoint, c.created_at, c.used_at, c.expires_at, c.is_live) for c in found],
        empty="no clients: let one in with `kessai checkout-clients add NAME`",
    )


@app.command()
def revoke(name: Name) -> None:
    """Make a system's token worthless, now and for good."""
    from shared.ledger import checkout_clients

    with_books(lambda connection: checkout_clients.revoke(connection, name, actor=actor()))
    typer.echo(f"the token of {name} is revoked")
