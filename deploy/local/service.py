"""What Postgres and RabbitMQ have in common in the eyes of a stack."""

import os
import signal
from pathlib import Path
from typing import Protocol

from deploy.local import processes
from deploy.local.accounts import Account
from deploy.local.errors import ServiceFailed


class Service(Protocol):
    """One server: how it is begun and told to end. Waiting and signalling are the same for both."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def mark(self) -> str:
        """What its processes carry on their command lines."""

    @property
    def programs(self) -> frozenset[str]:
        """Names its processes may have; a pager or a grep that carries the mark is none of ours."""

    @property
    def port(self) -> int: ...

    @property
    def log(self) -> Path: ...

    @property
    def stop_signals(self) -> tuple[tuple[signal.Signals, float], ...]:
        """Signals in rising order, each with the seconds it is given."""

    def missing_programs(self) -> list[str]:
        """What must be installed before it can begin."""

    def begin(self) -> None:
        """Make what is missing and start the server without waiting for it."""

    def is_ready(self) -> bool:
        """Whether clients are served."""


def numbers(service: Service) -> list[int]:
    """The process numbers of a service, the server itself first."""
    return processes.find(service.mark, programs=service.programs)


def stop(service: Service) -> None:
    for signal_number, seconds in service.stop_signals:
        processes.send(signal_number, service.mark, programs=service.programs)
        if processes.wait_until_gone(service.mark, programs=service.programs, seconds=seconds):
            return
    kill(service)


def kill(service: Service) -> None:
    """End every process of the service where it stands, as a crash of the machine would."""
    for _ in range(3):  # a server may have forked between the look and the signal
        processes.send(signal.SIGKILL, service.mark, programs=service.programs)
        if processes.wait_until_gone(service.mark, programs=service.programs, seconds=5):
            return
    raise ServiceFailed(service.title, "survives SIGKILL", service.log)


def own_folder(path: Path, account: Account | None) -> Path:
    """A private folder that belongs to the account of the server."""
    path.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path


def own_file(path: Path, text: str, account: Account | None) -> Path:
    """A small file that only the server may read; it may hold a password."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path
