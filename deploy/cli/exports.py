"""`kessai export`: writes the books to a file, for a spreadsheet or a program."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deploy.cli.bodies import CannotSave
from deploy.cli.books import actor, commit, open_books
from deploy.cli.output import say
from deploy.cli.times import Since, Until
from shared.ledger.export_lines import ExportFormat
from shared.plurals import counted

if TYPE_CHECKING:
    from shared.ledger.database import Connection
    from shared.ledger.exports import ExportRequest

NAMES = ("orders", "events", "reviews", "dead-letters", "audit")

What = Annotated[str, typer.Argument(metavar="WHAT", help=f"One of {', '.join(NAMES)}.")]
Form = Annotated[
    ExportFormat,
    typer.Option("--format", help="csv is safe to open as a spreadsheet; jsonl is exact."),
]
By = Annotated[
    Literal["registered", "paid"],
    typer.Option("--by", help="The time of an order that --since and --until compare; paid omits unpaid orders."),
]
Output = Annotated[str, typer.Option("--output", "--out", metavar="FILE", help="File to write; - is standard output.")]

Write = Callable[[bytes], None]


def export(
    what: What,
    form: Form,
    since: Since = None,
    until: Until = None,
    by: By = "registered",
    output: Output = "-",
) -> None:
    """Write every order, event, review, dead letter or audited act, as the books were at one moment.

    --since and --until compare the time when it was registered, received, opened or done. A file appears when it is
    complete. The audit records who exported what.
    """
    import asyncio

    from shared.ledger import exports

    if what not in NAMES:
        raise typer.BadParameter(f"there is no export {what!r}: name one of {', '.join(NAMES)}")
    request = exports.ExportRequest(exports.Export(what), form, since, until, exports.By(by))
    with _opened(output) as write, _progress(what, shown=output != "-" or not sys.stdout.isatty()) as count_rows:
        try:
            asyncio.run(_copy(request, write, count_rows))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


async def _copy(request: "ExportRequest", write: Write, count_rows: Callable[[int], None]) -> None:
    import asyncio
    import signal
    from contextlib import aclosing

    from shared.ledger import exports

    # SIGTERM ends this as cleanly as Ctrl-C: both cancel the task where it waits instead of stopping the loop.
    copying = asyncio.current_task()
    assert copying is not None  # noqa: S101 - this is one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, copying.cancel)

    async def work(connection: "Connection") -> None:
        async with aclosing(exports.export(connection, request, actor=actor())) as pages:
            async for page in pages:
                write(page.data)
                count_rows(page.rows)

    async with open_books() as pool:
        await commit(pool, work, tries=1)  # what is written cannot be taken back for another try


@contextmanager
def _opened(output: str) -> Iterator[Write]:
    """Open the output. Raises CannotSave: an error of writing must not look like an error of Postgres."""
    if output == "-":
        yield _to_stdout
        return
    try:
        path = Path(output).resolve()
        if path.exists() and not path.is_file():  # a pipe or a device cannot be replaced
            with path.open("wb") as file:
                yield _careful(file.write, output)
            return
        with _replacing(path, output) as write:
            yield write
    except OSError as error:
        raise CannotSave(f"cannot write {output}: {error.strerror}") from None


@contextmanager
def _replacing(path: Path, named: str) -> Iterator[Write]:
    """Write under another name until the file is complete, so that an error or Ctrl-C leaves the old file as it was."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("xb") as file:
            yield _careful(file.write, named)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _careful(write: Callable[[bytes], object], named: str) -> Write:
    def careful(data: bytes) -> None:
        try:
            write(data)
        except OSError as error:
            raise CannotSave(f"cannot write {named}: {error.strerror}") from None

    return careful


def _to_stdout(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
    except BrokenPipeError:
        raise typer.Exit(1) from None  # the reader has closed the pipe
    except OSError as error:
        raise CannotSave(f"cannot write to standard output: {error.strerror}") from None


@contextmanager
def _progress(what: str, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show the number of rows on a terminal, and nothing in a pipe."""
    if not (shown and sys.stderr.isatty()):
        yield lambda _rows: None
        return
    from rich.console import Console
    from rich.status import Status

    done = 0
    with Status(f"exporting {what}", console=Console(stderr=True)) as status:

        def count_rows(rows: int) -> None:
            nonlocal done
            done += rows
            status.update(f"exporting {what}: {done:,}")

        yield count_rows
    say(f"{counted(done, 'row')} exported")
