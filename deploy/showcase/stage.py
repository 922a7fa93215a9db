"""Shows the progress of the demo: a live line for the present step, and one line for each that is done."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text


class OnceCounted(ProgressColumn):
    """A column that is shown only for tasks with a total."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> RenderableType:
        return Text() if task.total is None else self._column(task)


class Bars:
    """The progress bars of a step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def fill(self, name: str, done: int, of: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=of)
        self._progress.update(self._tasks[name], completed=done, total=of)


class Stage:
    """Writes to stderr: stdout is for the result."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)

    @contextmanager
    def step(self, doing: str, done: str) -> Iterator[Bars]:
        began = time.monotonic()
        counted = (OnceCounted(BarColumn()), OnceCounted(MofNCompleteColumn()))
        columns = (SpinnerColumn(), TextColumn("{task.description:<16}"), *counted)
        live = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        with live:
            bars = Bars(live)
            live.add_task(doing, total=None)
            yield bars
        self._console.print(f"[green]✓[/] {done:<56} [dim]{time.monotonic() - began:5.1f} s[/]")
