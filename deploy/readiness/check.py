"""What is the result of one check?"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

READY = "ready"


class Status(StrEnum):
    PASS = "pass"  # noqa: S105 - the official tool's word
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    """The official tool's name where it has one; the names of Kessai's own checks begin with `kessai_`."""
    status: Status
    message: str
    """What to do, if anything."""


def passed(name: str, message: str = READY) -> Check:
    return Check(name, Status.PASS, message)


def failed(name: str, message: str) -> Check:
    return Check(name, Status.FAIL, message)


def judged(name: str, fault: str | None) -> Check:
    """The check passes when `fault` is None."""
    return passed(name) if fault is None else failed(name, fault)


def any_failed(checks: Iterable[Check]) -> bool:
    return any(check.status is Status.FAIL for check in checks)
