"""One command at a time over one stack; the lock ends with its process, however that ends."""

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
    """Wait for our turn in `folder`, which is made if need be."""
    deadline = time.monotonic() + _WITHIN
    while (lock := _try(folder)) is None:
        if time.monotonic() > deadline:
            raise LocalStackError(f"another `kessai local` has been at work in {folder} for minutes: end it")
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
