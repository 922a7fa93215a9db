"""What does the bench run beside itself? Programs in their own sessions, stopped by the block that started them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import orjson

from deploy.bench.load import Plan, Result
from shared.errors import KessaiError

READY_WITHIN = 60.0
"""Seconds a program may take until it answers on its port."""
STOPS_WITHIN = 30.0


class ProgramFailed(KessaiError):
    """Something the bench started ended early or never got ready; what it wrote is in its log."""


@contextmanager
def running(
    name: str, argv: Sequence[str], *, env: Mapping[str, str], log: Path, port: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that lives as long as the block, ready when it answers on `port`.

    A session of its own keeps Ctrl-C for the bench alone, which then stops its programs in order.
    """
    with log.open("ab") as written:
        process = subprocess.Popen(  # noqa: S603 - the bench names every program itself
            argv,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
    try:
        if port is not None:
            _await_port(name, process, port, log)
        yield process
        if process.poll() is not None:
            raise ProgramFailed(f"{name} ended with status {process.returncode} while it was measured: see {log}")
    finally:
        _stop(process)


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_load(plan: Plan, *, meanwhile: Callable[[], None] = lambda: None, every: float = 0.5) -> Result:
    """Carry out a plan in a process of its own, calling `meanwhile` every so many seconds."""
    wanted = {name: value for name, value in asdict(plan).items() if value is not None}
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, complaint = _communicate(process, orjson.dumps(wanted), meanwhile, every)
    finally:
        _stop(process)
    if process.returncode != 0:
        raise ProgramFailed(f"the load generator failed: {complaint.decode(errors='replace').strip()[-400:]}")
    return Result(**orjson.loads(output))


def _communicate(
    process: subprocess.Popen[bytes], given: bytes, meanwhile: Callable[[], None], every: float
) -> tuple[bytes, bytes]:
    written: bytes | None = given
    while True:
        try:
            return process.communicate(written, timeout=every)
        except subprocess.TimeoutExpired:
            written = None
            meanwhile()


def resident_mb(process_id: int) -> float:
    """Resident memory of one process, in MB of 10^6 bytes."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _await_port(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ProgramFailed(f"{name} ended with status {process.returncode} before it was ready: see {log}")
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise ProgramFailed(f"{name} did not answer on port {port} within {READY_WITHIN:.0f} s: see {log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            continue
