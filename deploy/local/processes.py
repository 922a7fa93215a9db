"""Finds, starts and stops the processes of a stack.

Every server carries a mark on its command line that is made from the stack's folder. The processes themselves are
the only record: it cannot be lost in a crash, and a process number that the system has given to somebody else never
matches. Command lines are readable without privileges, even in containers where /proc/<pid>/environ is not.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from deploy.local.accounts import Account
from deploy.local.errors import LocalStackError

PROC = Path("/proc")
_children: list[subprocess.Popen[bytes]] = []
"""Servers that this process started: only it can reap them."""


def spawn(
    command: Sequence[str],
    *,
    account: Account | None,
    home: Path,
    environment: Mapping[str, str],
    log: Path,
    title: str | None = None,
) -> None:
    """Start a server in a session of its own, so that it outlives the terminal and the calling process.

    `title` stands in for the program's name on its command line, where the server takes no argument of ours.
    """
    with log.open("ab") as sink:
        child = subprocess.Popen(  # noqa: S603 - programs found by this package
            [title or command[0], *command[1:]],
            executable=command[0],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd=home,
            env=server_environment(home, environment),
            start_new_session=True,
            umask=0o077,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    _children.append(child)


def server_environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return only the search paths of the caller's shell: no secrets, no PG*, RABBITMQ_* or ERL_* settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, "LANG": "C.UTF-8", **kept, "HOME": str(home), **extra}


def find(mark: str, *, programs: Collection[str]) -> list[int]:
    """Return the process numbers of `programs` with `mark`, lowest first, without those that only wait to be reaped."""
    _reap()
    numbers = sorted(int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())
    return [number for number in numbers if _carries(number, mark, programs)]


def send(signal_number: signal.Signals, mark: str, *, programs: Collection[str]) -> None:
    for number in find(mark, programs=programs):
        _send_one(signal_number, number, mark, programs)


def wait_until_gone(mark: str, *, programs: Collection[str], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while find(mark, programs=programs):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _carries(number: int, mark: str, programs: Collection[str]) -> bool:
    try:
        if (PROC / str(number) / "comm").read_text().strip() not in programs:
            return False
        return mark.encode() in (PROC / str(number) / "cmdline").read_bytes()
    except OSError:
        return False


def _send_one(signal_number: signal.Signals, number: int, mark: str, programs: Collection[str]) -> None:
    """Check again with the process held open, so that the signal cannot reach a later owner of the same number."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(number)
        try:
            if _carries(number, mark, programs) and not select.select([handle], [], [], 0)[0]:
                signal.pidfd_send_signal(handle, signal_number)
        except PermissionError:
            raise LocalStackError(
                f"process {number} of this stack belongs to another user: run the same command as that user or as root"
            ) from None
        finally:
            os.close(handle)


def _reap() -> None:
    _children[:] = [child for child in _children if child.poll() is None]
