"""Runs `kessai` as people do: a program of its own, with an environment, an exit code and signals."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from deploy.local.ports import LOOPBACK, free_ports

KESSAI = Path(sys.executable).with_name("kessai")
DRAIN_WITHIN = 30.0
"""Seconds a role may take to end after SIGTERM before the test gives it up."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that has ended."""

    returncode: int
    stdout: str
    stderr: str

    def object(self) -> dict[str, Any]:
        """Standard output as one JSON object."""
        found = json.loads(self.stdout)
        assert isinstance(found, dict), found
        return found

    def array(self) -> list[dict[str, Any]]:
        """Standard output as one JSON array of objects."""
        found = json.loads(self.stdout)
        assert isinstance(found, list), found
        return found


@dataclass(slots=True)
class Role:
    """A program that goes on: an ingress, a worker."""

    process: subprocess.Popen[bytes]
    admin_port: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        if not self.log.is_file():
            return f"(the log is {self.log})"
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """As a crash ends it: SIGKILL to the whole session, forked children included."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> int:
        """Ask it to end and return its exit code. Fails when it does not end in time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DRAIN_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end within {DRAIN_WITHIN:.0f} s of SIGTERM:\n{self.output()}") from None


@dataclass
class Kessai:
    """`kessai("orders", "list", "--json")` runs to the end; `with kessai.role("ingress", ...)` goes on meanwhile."""

    environment: Mapping[str, str]
    folder: Path
    """For the output of roles."""
    _numbers: Iterator[int] = field(default_factory=count)

    def __call__(
        self,
        *arguments: str,
        stdin: str | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60.0,
    ) -> Ran:
        ended = subprocess.run(
            [KESSAI, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            env=self._whole(environment),
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    @contextmanager
    def role(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        ready_within: float = 30.0,
        log: Path | None = None,
    ) -> Iterator[Role]:
        """Start a role on an admin port of its own, wait for its /readyz, and end it with SIGTERM."""
        (admin_port,) = free_ports(1)
        log = log or self.folder / f"{arguments[0]}-{next(self._numbers)}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [KESSAI, *arguments, "--admin-port", str(admin_port)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=self._whole(environment),
                start_new_session=True,
            )
        role = Role(process, admin_port, log)
        try:
            _wait_until_ready(role, ready_within)
            yield role
        finally:
            role.terminate()

    def _whole(self, environment: Mapping[str, str] | None) -> dict[str, str]:
        return clean_environment() | dict(self.environment) | dict(environment or {})


def clean_environment() -> dict[str, str]:
    """Ours without any Kessai or Siglume setting of the person who runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("KESSAI_", "SIGLUME_"))}


def _wait_until_ready(role: Role, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not _is_ready(role.admin_port):
        if role.process.poll() is not None:
            raise AssertionError(f"ended with {role.process.returncode} while starting:\n{role.output()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"not ready within {seconds:.0f} s:\n{role.output()}")
        time.sleep(0.05)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
