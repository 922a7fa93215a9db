"""Saves the bytes of a webhook unchanged, or prints them with escapes."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.output import printable, say
from shared.errors import KessaiError

SHOWN = 4096
"""Bytes of a body that are printed."""

SaveRaw = Annotated[
    str | None,
    typer.Option("--raw", metavar="FILE", help="Save the body to this file, byte for byte; - is standard output."),
]


class CannotSave(KessaiError):
    """The file cannot be written."""


def save(body: bytes, where: str) -> None:
    """Raises CannotSave."""
    if where == "-":
        sys.stdout.buffer.write(body)
        return
    try:
        Path(where).write_bytes(body)
    except OSError as error:
        raise CannotSave(f"cannot write {where}: {error.strerror}") from None
    say(f"{len(body)} bytes saved to {where}")


def as_text(body: bytes) -> str:
    """Decode a body; bytes that are not UTF-8 become escapes."""
    return body.decode("utf-8", "backslashreplace")


def show_body(body: bytes) -> None:
    typer.echo("")
    for line in as_text(body[:SHOWN]).splitlines():
        typer.echo(printable(line))
    if len(body) > SHOWN:
        say(f"({SHOWN} of {len(body)} bytes shown: --raw FILE saves them all)")
