"""Imports a file of orders: checks all of it, then registers it in chunks, each completely or not at all."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from shutil import copyfileobj
from typing import TYPE_CHECKING, BinaryIO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from deploy.cli.books import actor, commit, open_books
from deploy.cli.file_format import FileFormat
from deploy.cli.order_files import BadLine, Line, Read, UnreadableOrders, reader
from deploy.cli.output import printable, say
from shared.errors import KessaiError
from shared.ledger.database import Pool, UnacceptableRow
from shared.ledger.orders import OrderConflict, Registered, register
from shared.plurals import counted

if TYPE_CHECKING:
    from shared.ledger.database import Connection

CHUNK = 500
"""Orders in one transaction."""
NAMED_AT_MOST = 20
"""Bad lines that are printed; the rest are only counted."""


class BadLines(KessaiError):
    """The file has lines that are no orders."""


class ImportStopped(KessaiError):
    """The books contradict the file."""


@dataclass(slots=True)
class Imported:
    """What an import did."""

    new: int = 0
    known: int = 0
    """Registered before, with the same values."""
    applied: int = 0
    """Payments that waited for one of these orders and are now applied."""
    reviewed: int = 0
    skipped: int = 0
    """Bad lines, which --skip-bad leaves out."""

    def add(self, done: Registered) -> None:
        self.new += done.new
        self.known += done.known
        self.applied += done.applied
        self.reviewed += done.reviewed


def import_file(path: str, form: FileFormat, *, endpoint: str, skip_bad: bool) -> Imported:
    """Raises KessaiError; what was registered before it stays, and importing the file again is harmless."""
    read = reader(form, endpoint=endpoint)
    with _opened(path) as file, _progress() as progress:
        good, bad = _check(file, read, progress)
        if bad and not skip_bad:
            raise BadLines(
                f"{counted(bad, 'bad line')} in {path}: nothing is imported; correct the file, or add --skip-bad"
            )
        file.seek(0)
        lines = (line for line in read(file) if isinstance(line, Line))
        imported = asyncio.run(_register_all(lines, progress, total=good, skip_bad=skip_bad))
    imported.skipped += bad
    return imported


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """A file that can be read twice; a pipe is copied to disk first."""
    try:
        with sys.stdin.buffer if path == "-" else Path(path).open("rb") as file:
            if file.seekable():
                yield cast("BinaryIO", file)
                return
            with tempfile.TemporaryFile() as copy:
                copyfileobj(file, copy)
                copy.seek(0)
                yield cast("BinaryIO", copy)
    except OSError as error:
        raise UnreadableOrders(f"cannot read {path}: {error.strerror}") from None


def _check(file: BinaryIO, read: Read, progress: Progress) -> tuple[int, int]:
    """Count orders and bad lines, and print the first bad lines."""
    task = progress.add_task("checking", total=None)
    good = bad = 0
    for line in read(file):
        if isinstance(line, Line):
            good += 1
        else:
            bad += 1
            _print_bad(line, bad)
        if (good + bad) % 1000 == 0:
            progress.update(task, completed=good + bad)
    progress.update(task, completed=good + bad, total=good + bad)
    return good, bad


def _print_bad(line: BadLine, bad: int) -> None:
    if bad <= NAMED_AT_MOST:
        say(f"line {line.number}: {printable(line.problem)}")
    elif bad == NAMED_AT_MOST + 1:
        say("... and more")


async def _register_all(lines: Iterator[Line], progress: Progress, *, total: int, skip_bad: bool) -> Imported:
    task = progress.add_task("registering", total=total)
    imported = Imported()
    async with open_books() as pool:
        while chunk := _next_chunk(lines):
            await _register(pool, chunk, imported, skip_bad=skip_bad)
            progress.advance(task, len(chunk))
    return imported


def _next_chunk(lines: Iterator[Line]) -> list[Line]:
    return list(islice(lines, CHUNK))


async def _register(pool: Pool, chunk: list[Line], imported: Imported, *, skip_bad: bool) -> None:
    """Register a chunk completely; with `skip_bad`, halve it until each bad line is alone."""

    async def work(connection: "Connection") -> Registered:
        return await register(connection, [line.order for line in chunk], actor=actor(), now=datetime.now(UTC))

    try:
        imported.add(await commit(pool, work))
    except (OrderConflict, UnacceptableRow) as error:
        if not skip_bad:
            raise ImportStopped(
                f"lines {chunk[0].number}-{chunk[-1].number}: {error}; lines before these are registered, these and "
                "later ones are not: correct the file and import it again, or add --skip-bad"
            ) from error
        if len(chunk) == 1:
            imported.skipped += 1
            _print_bad(BadLine(chunk[0].number, str(error)), imported.skipped)
            return
        middle = len(chunk) // 2
        await _register(pool, chunk[:middle], imported, skip_bad=True)
        await _register(pool, chunk[middle:], imported, skip_bad=True)


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
