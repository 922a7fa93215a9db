"""The stream of the log. A line that cannot be written is lost and counted: it never fails the work that logs."""

import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class LossyStream:
    """Writes each text at once. Those lost to a full disk or a closed pipe are counted in the next line written."""

    def __init__(self, stream: TextIO, lines_lost: Callable[[int], str]) -> None:
        """`lines_lost` makes the line that says how many lines were lost."""
        self._stream = stream
        self._lines_lost = lines_lost
        self._lost = 0

    def write(self, text: str) -> int:
        try:
            if self._lost:  # the disk may have taken a part of a line: the next one begins on a line of its own
                self._stream.write(f"\n{self._lines_lost(self._lost)}\n")
                self._stream.flush()
                self._lost = 0
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._lost += 1
        return len(text)

    def flush(self) -> None:
        """Does nothing: `write` has flushed."""


def standard_error() -> TextIO:
    """Standard error without a buffer: a buffer keeps what could not be written and fails again at the exit."""
    try:
        number = sys.stderr.fileno()
    except (OSError, ValueError):  # replaced by a stream without a file, or closed
        return sys.stderr
    return io.TextIOWrapper(
        _WholeWrites(number, "wb", closefd=False), encoding="utf-8", errors="backslashreplace", write_through=True
    )


class _WholeWrites(io.FileIO):
    """A file whose `write` writes everything or raises OSError."""

    def write(self, data: "ReadableBuffer", /) -> int:
        rest = memoryview(data)
        while rest:
            written = super().write(rest)
            if written is None:
                raise BlockingIOError("the log's reader is too slow")
            rest = rest[written:]
        return len(memoryview(data))
