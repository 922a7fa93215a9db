"""What does the doctor say of one thing?"""

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    health: Health
    found: str
    advice: str | None = None
    """What to do next, when there is something to do."""


def ok(check: str, found: str) -> Finding:
    return Finding(check, Health.OK, found)


def warn(check: str, found: str, advice: str) -> Finding:
    return Finding(check, Health.WARN, found, advice)


def fail(check: str, found: str, advice: str) -> Finding:
    return Finding(check, Health.FAIL, found, advice)
