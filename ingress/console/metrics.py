"""The metrics of the console: answers by page, and logins."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from shared.observe.metrics import FAST


class ConsoleMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "kessai_console_requests", "Answers by page and status.", ("page", "status"), registry=registry
        )
        self._seconds = Histogram(
            "kessai_console_seconds", "From request to answer.", ("page",), buckets=FAST, registry=registry
        )
        self._logins = Counter(
            "kessai_console_logins", "Logins by what became of them.", ("result",), registry=registry
        )

    def answered(self, page: str, status: int, seconds: float) -> None:
        """`page` is a route as it is declared."""
        self._answers.labels(page, str(status)).inc()
        self._seconds.labels(page).observe(seconds)

    def login(self, result: str) -> None:
        self._logins.labels(result).inc()
