"""What does the doctor say of one thing?"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class Health(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Subject(NamedTuple):
    """What is looked at."""

    name: str
    """Stable, for scripts: `kessai readiness` has it behind `kessai_`."""
    heading: str
    """For people."""


HTTP_PARSER: Final = Subject("http_parser", "http parser")
SETTINGS: Final = Subject("settings", "settings")
ENDPOINTS: Final = Subject("endpoints", "endpoints")
DATABASE: Final = Subject("database", "postgres")
CLOCK: Final = Subject("clock", "clock")
MIGRATIONS: Final = Subject("migrations", "migrations")
ARCHIVE: Final = Subject("archive", "archive")
OUTBOX: Final = Subject("outbox", "outbox")
OPEN_WORK: Final = Subject("open_work", "people's work")
BROKER: Final = Subject("broker", "rabbitmq")
TOPOLOGY: Final = Subject("topology", "topology")


def of_endpoint(endpoint: str) -> Subject:
    """Its name as it is: `-` and `_` tell endpoints apart."""
    return Subject(f"endpoint_{endpoint}", f"endpoint {endpoint}")


def of_queue(queue: str) -> Subject:
    return Subject(f"queue_{queue.removeprefix('kessai.').replace('-', '_')}", queue)


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    check: str
    """Its heading."""
    health: Health
    found: str
    advice: str | None = None
    """What to do next, when there is something to do."""


def ok(subject: Subject, found: str) -> Finding:
    return Finding(*subject, Health.OK, found)


def warn(subject: Subject, found: str, advice: str) -> Finding:
    return Finding(*subject, Health.WARN, found, advice)


def fail(subject: Subject, found: str, advice: str) -> Finding:
    return Finding(*subject, Health.FAIL, found, advice)
