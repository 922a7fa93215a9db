"""What is the bench doing? One progress line for each part on stderr, so that stdout has only the result."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Stage:
    """The line that is being written; the finished ones stay above it as the record of how long each part took."""

    def __init__(self, progress: Progress, first: str) -> None:
        self._progress = progress
        self._line = progress.add_task(first, total=None)

    def says(self, doing: str, *, done: float = 0, of: float | None = None) -> None:
        """`done` of `of` fills the bar; without `of` the bar pulses."""
        self._progress.update(self._line, description=doing, completed=done, total=of)

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """A line of its own for what the block does."""
        outer: TaskID = self._line
        self._line = self._progress.add_task(title, total=None)
        yield
        self.says(title, done=1, of=1)
        self._line = outer


@contextmanager
def stage(title: str) -> Iterator[Stage]:
    console = Console(stderr=True)
    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        line = Stage(progress, title)
        yield line
        line.says(title, done=1, of=1)
