"""What came of one question?"""

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
    """The official tool's where it has one; Kessai's own begin with `kessai_`."""
    status: Status
    message: str
    """What to do, when there is something to do."""


def passed(name: str, message: str = READY) -> Check:
    return Check(name, Status.PASS, message)


def failed(name: str, message: str) -> Check:
    return Check(name, Status.FAIL, message)


def judged(name: str, fault: str | None) -> Check:
    """It passes when there is no fault."""
    return passed(name) if fault is None else failed(name, fault)


def any_failed(checks: Iterable[Check]) -> bool:
    return any(check.status is Status.FAIL for check in checks)
