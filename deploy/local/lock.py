"""Locks a stack for one command at a time; the lock ends with its process, however that ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.errors import LocalStackError

_WITHIN = 180.0
"""Seconds: longer than any start or stop that still goes well."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait for the lock of `folder`, which is created when it is missing."""
    deadline = time.monotonic() + _WITHIN
    while (lock := _try(folder)) is None:
        if time.monotonic() > deadline:
            raise LocalStackError(f"another `kessai local` has held the lock of {folder} for minutes: end it")
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(lock)


def _try(folder: Path) -> int | None:
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LocalStackError(f"{folder} cannot hold a stack: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(lock).st_ino:  # else a wipe removed the file meanwhile
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None
