"""`kessai dead-letters`: what could not be applied, with its bytes."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.books import with_books
from deploy.cli.show import AsJson, Limit, print_fields, print_json, print_table, printable, say
from shared.errors import KessaiError

app = typer.Typer(name="dead-letters", help="What could not be applied, with its bytes.", no_args_is_help=True)

LetterId = Annotated[
    int, typer.Argument(metavar="DEAD_LETTER_ID", min=1, max=2**63 - 1, help="See `kessai dead-letters list`.")
]
OfReason = Annotated[str | None, typer.Option("--reason", help="Only dead letters of this reason.")]
SaveRaw = Annotated[
    str | None, typer.Option("--raw", metavar="FILE", help="Save the body, byte for byte; - is standard output.")
]

SHOWN = 4096
"""Bytes of a body that `show` prints."""


class CannotSave(KessaiError):
    """The file for the body cannot be written."""


@app.command("list")
def list_dead_letters(limit: Limit = 50, reason: OfReason = None, as_json: AsJson = False) -> None:
    """The newest dead letters and why each is one."""
    from shared.ledger import dead_letters

    found = with_books(lambda connection: dead_letters.newest(connection, limit=limit, reason=reason))
    if as_json:
        print_json(found)
        return
    print_table(
        ("dead letter", "first seen", "reason", "error", "endpoint", "event", "attempts"),
        [
            (each.dead_letter_id, each.first_seen, each.reason, each.error, each.endpoint, each.event_id, each.attempts)
            for each in found
        ],
        empty="no dead letters" + (f" of reason {reason!r}" if reason else ": everything could be applied"),
    )


@app.command()
def show(letter_id: LetterId, raw: SaveRaw = None, as_json: AsJson = False) -> None:
    """One dead letter and its body; control characters are shown as escapes."""
    from shared.ledger import dead_letters

    letter, body = with_books(lambda connection: dead_letters.find(connection, letter_id))
    if raw is not None:
        _save(body, raw)
    elif as_json:
        print_json(asdict(letter) | {"raw_bytes": len(body), "raw": body.decode("utf-8", "backslashreplace")})
    else:
        print_fields(asdict(letter))
        _show_body(body)


def _save(body: bytes, where: str) -> None:
    if where == "-":
        sys.stdout.buffer.write(body)
        return
    try:
        Path(where).write_bytes(body)
    except OSError as error:
        raise CannotSave(f"cannot write {where}: {error.strerror}") from None
    say(f"{len(body)} bytes saved to {where}")


def _show_body(body: bytes) -> None:
    typer.echo("")
    for line in body[:SHOWN].decode("utf-8", "backslashreplace").splitlines():
        typer.echo(printable(line))
    if len(body) > SHOWN:
        say(f"({SHOWN} of {len(body)} bytes shown: --raw FILE saves them all)")
