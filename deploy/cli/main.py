"""`kessai`: the one program, composed of its command groups."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import (
    bench,
    checkout,
    checkout_clients,
    console,
    dead_letters,
    demo,
    doctor,
    events,
    exports,
    ingress,
    keys,
    local,
    migrate,
    orders,
    prune,
    readiness,
    reconcile,
    replay,
    revenue,
    reviews,
    sandbox,
    send,
    tokens,
    topology,
    users,
    worker,
)
from deploy.cli.advice import ADVICE
from deploy.cli.output import printable
from shared.errors import DatabaseUnavailable, KessaiError
from shared.remedies import with_advice

app = typer.Typer(name="kessai", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

FAULT_OF_OURS = 70
"""Exit code for a fault of Kessai itself (EX_SOFTWARE)."""
ROLES = ("ingress", "worker", "checkout", "console")
"""Commands that run until they are stopped, and write a log."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kessai {version('kessai')}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version of Kessai.")
]


@app.callback()
def kessai(version: Version = False) -> None:
    """Process signed Siglume payment webhooks.

    Exit code 1 when a command fails, with one line on stderr that says why; 2 for wrong usage.
    """


app.command()(migrate.migrate)
app.add_typer(topology.app)
app.command()(ingress.ingress)
app.command()(worker.worker)
app.command()(checkout.checkout)
app.add_typer(checkout_clients.app)
app.command()(console.console)
app.add_typer(orders.app)
app.add_typer(events.app)
app.add_typer(reviews.app)
app.add_typer(revenue.app)
app.add_typer(dead_letters.app)
app.add_typer(replay.app)
app.command()(exports.export)
app.add_typer(reconcile.app)
app.command()(prune.prune)
app.add_typer(users.app)
app.add_typer(tokens.app)
app.command()(send.send)
app.add_typer(sandbox.app)
app.add_typer(local.app)
app.command()(demo.demo)
app.add_typer(keys.app)
app.command()(doctor.doctor)
app.command()(readiness.readiness)
app.command()(bench.bench)


def run() -> None:
    """Run the command; a failure is one line on stderr and an exit code, never a traceback."""
    logging.getLogger().addHandler(
        logging.NullHandler()
    )  # without it libraries print to stderr; roles set up their own
    try:
        code = app(prog_name="kessai", standalone_mode=False) or 0
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # else the interpreter reports an error as it flushes
        code = 1
    except DatabaseUnavailable as error:
        code = _fail(f"{error}; `kessai doctor` shows what is unavailable", 1)
    except KessaiError as error:
        code = _fail(with_advice(str(error), error.remedy, ADVICE), 1)
    except typer.TyperException as error:
        code = _fail(_wrong_usage(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except Exception as error:
        code = _own_fault(error)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    if message:
        from shared.observe.redaction import redacted

        sys.stderr.write(f"kessai: {printable(redacted(' '.join(message.split())))}\n")
    return code


def _wrong_usage(error: typer.TyperException) -> str:
    """Return the message, which is empty when typer has printed the help instead."""
    message = error.format_message().strip().removesuffix(".").replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    return f"{message} (see {context.command_path} --help)" if message and context else message


def _own_fault(error: Exception) -> int:
    """Report a fault of Kessai itself: a role logs the traceback, other commands print its place."""
    if sys.argv[1:2] and sys.argv[1] in ROLES:
        import structlog

        structlog.get_logger("kessai").critical("kessai.fault", exc_info=error)
        return FAULT_OF_OURS
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" ({Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno})" if frame else ""
    return _fail(f"a fault of Kessai itself: {type(error).__name__}: {error}{place}", FAULT_OF_OURS)
