"""Is Postgres there for this process? One gauge, however many parts of the process use a database."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge


class DatabaseUp:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._checks: list[Callable[[], bool]] = []
        Gauge(
            "kessai_database_up",
            "1 while Postgres takes what this process reads and writes, 0 while it is away.",
            registry=registry,
        ).set_function(lambda: all(check() for check in self._checks))

    def watch(self, is_up: Callable[[], bool]) -> None:
        """`is_up` is called at each scrape; the gauge is 1 while all that are watched are up."""
        self._checks.append(is_up)
