"""What does the doctor find about one subject?"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class Health(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Subject(NamedTuple):
    """What is examined."""

    name: str
    """A stable name for scripts: `kessai readiness` shows it after `kessai_`."""
    heading: str
    """The name for people."""


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
    """The name is not changed: `-` and `_` distinguish endpoints."""
    return Subject(f"endpoint_{endpoint}", f"endpoint {endpoint}")


def of_queue(queue: str) -> Subject:
    return Subject(f"queue_{queue.removeprefix('kessai.').replace('-', '_')}", queue)


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    check: str
    """The heading of its subject."""
    health: Health
    found: str
    advice: str | None = None
    """What to do next, if anything."""


def ok(subject: Subject, found: str) -> Finding:
    return Finding(*subject, Health.OK, found)


def warn(subject: Subject, found: str, advice: str) -> Finding:
    return Finding(*subject, Health.WARN, found, advice)


def fail(subject: Subject, found: str, advice: str) -> Finding:
    return Finding(*subject, Health.FAIL, found, advice)
