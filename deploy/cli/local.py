"""`kessai local`: runs a private Postgres and RabbitMQ on this machine."""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from deploy.cli.options import AsJson
from deploy.cli.output import say
from deploy.local.errors import LocalStackError
from deploy.local.stack import ServiceStatus, Stack

app = typer.Typer(
    name="local",
    help="Run a private Postgres and RabbitMQ in the folder of KESSAI_LOCAL_DIR (default: .local of this checkout).",
    no_args_is_help=True,
)

WEBHOOK_SECRET = "whsec_local_development"  # noqa: S105 - for a stack that only this machine can reach


class ServiceName(StrEnum):
    POSTGRES = "postgres"
    RABBITMQ = "rabbitmq"


Named = Annotated[ServiceName, typer.Argument(metavar="SERVICE", help="postgres or rabbitmq.", show_default=False)]


@app.command()
def up() -> None:
    """Start both servers; one that runs already is left as it is."""
    stack = Stack.from_env()
    say(f"starting Postgres and RabbitMQ in {stack.folder}")
    stack.up()
    _show(stack)
    say('now run: eval "$(kessai local env)"')


@app.command()
def down(
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete the data and the logs, too.")] = False,
) -> None:
    """Stop both servers and keep their data, unless --wipe is given."""
    stack = Stack.from_env()
    stack.down(wipe=wipe)
    say(f"stopped; {stack.folder} is deleted" if wipe else f"stopped; the data stays in {stack.folder}")


@app.command()
def env() -> None:
    """Print shell commands that export the URLs of the servers, for eval "$(kessai local env)".

    Exit code 1 when a server does not run.
    """
    stack = Stack.from_env()
    stopped = [service.name for service in stack.status() if service.state == "stopped"]
    if stopped:
        raise LocalStackError(f"{' and '.join(stopped)} not running in {stack.folder}: run `kessai local up` first")
    for line in shell_lines(stack, os.environ):
        typer.echo(line)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show which servers run, with their process numbers and ports."""
    stack = Stack.from_env()
    if as_json:
        services = [asdict(service) for service in stack.status()]
        typer.echo(json.dumps({"folder": str(stack.folder), "services": services}))
    else:
        _show(stack)


@app.command()
def start(service: Named) -> None:
    """Start one server again, at its former port."""
    Stack.from_env().start(service.value)
    say(f"{service.value} is running")


@app.command()
def restart(service: Named) -> None:
    """Stop one server cleanly and start it again, at the same port."""
    Stack.from_env().restart(service.value)
    say(f"{service.value} is running again")


@app.command()
def kill(service: Named) -> None:
    """Send SIGKILL to one server, to test how Kessai handles the outage."""
    Stack.from_env().kill(service.value)
    say(f"{service.value} is killed; `kessai local start {service.value}` starts it again")


def shell_lines(stack: Stack, environ: Mapping[str, str]) -> list[str]:
    """Return one shell command a line. A secret that the shell already has is kept."""
    values = stack.environment() | {"KESSAI_LOCAL_DIR": str(stack.folder)}
    unset = [f"unset {name}_FILE" for name in values if f"{name}_FILE" in environ]
    if not {"SIGLUME_WEBHOOK_SECRET", "SIGLUME_WEBHOOK_SECRET_FILE"} & set(environ):
        values["SIGLUME_WEBHOOK_SECRET"] = WEBHOOK_SECRET
    return [*unset, *(f"export {name}={shlex.quote(value)}" for name, value in values.items())]


def _show(stack: Stack) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=str(stack.folder), title_justify="left", title_style="")
    for heading in ("service", "state", "process", "port", "log"):
        table.add_column(heading, overflow="fold")
    for service in stack.status():
        table.add_row(*_cells(service))
    Console().print(table)


def _cells(service: ServiceStatus) -> tuple[str, ...]:
    colour = {"running": "green", "starting": "yellow"}.get(service.state, "red")
    number = str(service.pid or "")
    return service.name, f"[{colour}]{service.state}[/]", number, str(service.port or ""), service.log
