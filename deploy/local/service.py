"""The interface that Postgres and RabbitMQ share in a stack, and what is the same for both."""

import os
import signal
from pathlib import Path
from typing import Protocol

from deploy.local import processes
from deploy.local.accounts import Account
from deploy.local.errors import ServiceFailed


class Service(Protocol):
    """One server: how it is started and which signals stop it. Waiting and signalling are the same for both."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def mark(self) -> str:
        """A text that each of its processes has on its command line."""

    @property
    def programs(self) -> frozenset[str]:
        """Names that its processes may have: a pager or a grep with the mark on its command line is not one."""

    @property
    def port(self) -> int: ...

    @property
    def log(self) -> Path: ...

    @property
    def stop_signals(self) -> tuple[tuple[signal.Signals, float], ...]:
        """Signals to send in order, each with the seconds to wait after it."""

    def missing_programs(self) -> list[str]:
        """Return the programs that must be installed first."""

    def begin(self) -> None:
        """Create what is missing and start the server, without waiting for it."""

    def is_ready(self) -> bool:
        """Return whether it serves clients."""


def numbers(service: Service) -> list[int]:
    """Return the process numbers of a service, that of the server first."""
    return processes.find(service.mark, programs=service.programs)


def stop(service: Service) -> None:
    for signal_number, seconds in service.stop_signals:
        processes.send(signal_number, service.mark, programs=service.programs)
        if processes.wait_until_gone(service.mark, programs=service.programs, seconds=seconds):
            return
    kill(service)


def kill(service: Service) -> None:
    """Kill every process of the service at once, as a crash of the machine does."""
    for _ in range(3):  # a server may have forked between the search and the signal
        processes.send(signal.SIGKILL, service.mark, programs=service.programs)
        if processes.wait_until_gone(service.mark, programs=service.programs, seconds=5):
            return
    raise ServiceFailed(service.title, "survives SIGKILL", service.log)


def own_folder(path: Path, account: Account | None) -> Path:
    """Create a private folder that belongs to the account of the server."""
    path.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path


def own_file(path: Path, text: str, account: Account | None) -> Path:
    """Write a small file that only the server may read; it may hold a password."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path
