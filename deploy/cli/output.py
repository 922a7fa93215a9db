"""Prints what a command found: JSON for scripts, tables for people. Times are UTC in both."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

WIDE = 200
"""Columns of a table that is written to a file or a pipe: wide enough that grep finds whole ids."""


def say(text: str) -> None:
    """Print a message for people on stderr: stdout holds only what a script may read."""
    typer.echo(text, err=True)


def print_json(value: object) -> None:
    """Print one JSON document on stdout, indented on a terminal."""
    import orjson

    option = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0)
    typer.echo(orjson.dumps(value, default=_named, option=option), nl=False)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print one row for each item, or the message `empty` when there is none."""
    if not rows:
        say(empty)
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row))
    _print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print one item, one line for each field."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, cell(value))
    _print(table)


def cell(value: object) -> "Text":
    """Return a value as a table shows it: plain text, whatever markup or control characters it holds."""
    from rich.text import Text

    if value is None:
        return Text("-", style="dim")
    text = when(value) if isinstance(value, datetime) else printable(str(value))
    return Text(text, style=_COLOURS.get(text, ""))


def when(moment: datetime) -> str:
    """Format a time to the second; `--json` has the full precision."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def printable(text: str) -> str:
    """Return `text` with control characters written as escapes: a payload must not control a person's terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _print(renderable: "RenderableType") -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDE, highlight=False).print(renderable)


def _named(value: object) -> object:
    """Convert what orjson does not know: named tuples, and asyncpg's own class of UUIDs."""
    if isinstance(value, UUID):
        return str(value)
    as_dict = getattr(value, "_asdict", None)
    if as_dict is None:
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return as_dict()


_COLOURS = {
    "applied": "green",
    "paid": "green",
    "settled": "green",
    "resolved": "green",
    "proved": "green",
    "fulfilled_unsettled": "cyan",
    "review": "yellow",
    "open": "yellow",
    "key_not_configured": "yellow",
    "dead_letter": "red",
    "uncollectible": "red",
    "written_off": "red",
    "does_not_match": "red",
    "no_signature": "red",
    "duplicate": "dim",
    "ignored": "dim",
    "closed": "dim",
    "discarded": "dim",
    "cancelled": "dim",
}
