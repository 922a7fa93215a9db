"""Starts and stops the demo's programs: real `kessai` commands, each a process with a log."""

import ctypes
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.ports import LOOPBACK, free_ports
from shared.errors import KessaiError

KESSAI = Path(sys.executable).with_name("kessai")
READY_WITHIN = 60.0
STOPS_WITHIN = 15.0
"""Seconds after SIGTERM, before SIGKILL."""
PR_SET_PDEATHSIG = 1


class ProgramFailed(KessaiError):
    """A program of the demo ended early; what it wrote is in its log."""


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    process: subprocess.Popen[bytes] = field(repr=False)
    admin_port: int
    log: Path

    def is_ready(self) -> bool:
        """Raises ProgramFailed when it never will be."""
        if self.process.poll() is not None:
            raise ProgramFailed(f"{self.name} ended with status {self.process.returncode}: {_last_line(self.log)}")
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.admin_port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@dataclass(slots=True)
class Programs:
    """The processes that the demo started."""

    folder: Path
    """Folder of the logs."""
    environment: Mapping[str, str] = field(repr=False)
    outlive_us: bool = False
    """When false, they end when the demo ends, however it ends."""
    running: list[Program] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def leave(self) -> list[Program]:
        """Leave them running when the demo ends."""
        left, self.running = self.running, []
        return left

    def start(self, name: str, *arguments: str) -> Program:
        """Start `kessai ARGUMENTS --admin-port ...`."""
        (admin_port,) = free_ports(1)
        log = self.folder / f"{name}.log"
        with log.open("wb") as written:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [KESSAI, *arguments, "--admin-port", str(admin_port)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops them in order
                preexec_fn=None if self.outlive_us else _ends_with_us(),
            )
        program = Program(name, process, admin_port, log)
        self.running.append(program)
        return program

    def run(self, *arguments: str) -> str:
        """Run a `kessai` command to its end and return what it printed. Raises ProgramFailed."""
        process = subprocess.Popen(  # noqa: S603 - our own program
            [KESSAI, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=_ends_with_us(),  # Ctrl-C may come before the process is known here
        )
        try:
            output, errors = process.communicate()
        finally:
            process.kill()  # no effect when it has ended; Ctrl-C must leave no process behind
            process.wait()
        if process.returncode != 0:
            raise ProgramFailed(f"kessai {' '.join(arguments)}: {errors.decode(errors='replace').strip()}")
        return output.decode()

    def await_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        for program in self.running:
            while not program.is_ready():
                if time.monotonic() > deadline:
                    raise ProgramFailed(f"{program.name} was not ready within {READY_WITHIN:.0f} s: see {program.log}")
                time.sleep(0.05)

    def check(self) -> None:
        """Raises ProgramFailed when one has ended."""
        for program in self.running:
            if program.process.poll() is not None:
                raise ProgramFailed(
                    f"{program.name} ended with status {program.process.returncode}: {_last_line(program.log)}"
                )

    def stop(self) -> None:
        """Send SIGTERM to all, and SIGKILL to those that do not end in time."""
        for program in self.running:
            _signal(program.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOPS_WITHIN
        for program in self.running:
            try:
                program.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(program.process.pid, signal.SIGKILL)
                program.process.wait()
        self.running.clear()


def _signal(process_id: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process_id, number)


def _ends_with_us() -> Callable[[], None] | None:
    """Linux ends a child with its parent when the child asks for it."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"
