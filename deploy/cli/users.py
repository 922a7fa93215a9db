"""`kessai users`: the accounts of the console."""

import sys
from typing import Annotated

import typer

from deploy.cli.books import actor, with_books
from deploy.cli.options import AsJson
from deploy.cli.output import print_json, print_table, say
from shared.errors import KessaiError
from shared.ledger.roles import Role

app = typer.Typer(name="users", help="Manage the accounts of the console.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user: 1 to 64 letters, digits and . _ @ + -")]
OfRole = Annotated[Role, typer.Option("--role", help="A viewer reads, an operator acts, an admin also manages users.")]
NewRole = Annotated[Role, typer.Argument(metavar="ROLE", help="One of viewer, operator, admin.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, without a prompt.")
]


class NoPassword(KessaiError):
    """There is no terminal to read a password from."""


@app.command()
def add(name: Name, role: OfRole = Role.VIEWER, password_stdin: FromStdin = False) -> None:
    """Create an account."""
    from shared.ledger import users
    from shared.ledger.passwords import hashed

    password_hash = hashed(_password(from_stdin=password_stdin))
    with_books(lambda connection: users.add(connection, name, role, password_hash, actor=actor()))
    typer.echo(f"{name} may log in as {role}")


@app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List all accounts with their roles and last visits."""
    from shared.ledger import users

    found = with_books(users.everyone)
    if as_json:
        print_json(found)
        return
    print_table(
        ("name", "role", "added", "disabled", "last seen"),
        [(user.name, user.role, user.created_at, user.disabled_at, user.last_seen) for user in found],
        empty="no users: add one with `kessai users add NAME --role admin`",
    )


@app.command("set-role")
def set_role(name: Name, role: NewRole) -> None:
    """Give an account another role; it applies from the next page on."""
    from shared.ledger import users

    before = with_books(lambda connection: users.set_role(connection, name, role, actor=actor()))
    typer.echo(f"{name} is {role}" + (f", was {before}" if before != role else " already"))


@app.command("set-password")
def set_password(name: Name, password_stdin: FromStdin = False) -> None:
    """Give an account another password, and end all of its sessions."""
    from shared.ledger import users
    from shared.ledger.passwords import hashed

    password_hash = hashed(_password(from_stdin=password_stdin))
    with_books(lambda connection: users.set_password(connection, name, password_hash, actor=actor()))
    typer.echo(f"{name} has a new password")


@app.command()
def disable(name: Name) -> None:
    """Disable an account and end its sessions; the audit keeps what its user did."""
    from shared.ledger import users

    with_books(lambda connection: users.disable(connection, name, actor=actor()))
    typer.echo(f"{name} is disabled and logged out")


@app.command()
def enable(name: Name) -> None:
    """Enable an account that was disabled."""
    from shared.ledger import users

    with_books(lambda connection: users.enable(connection, name, actor=actor()))
    typer.echo(f"{name} may log in again")


def _password(*, from_stdin: bool) -> str:
    """Read one line; never an argument, which every process of the machine could read."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise NoPassword("there is no terminal to type the password at: give it with --password-stdin")
    say("the password is not shown while you type")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
