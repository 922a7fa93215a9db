"""What does the checkout measure? Answers, the outcomes of starts, and the time that Siglume takes."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from shared.observe.metrics import FAST, SLOW


class CheckoutMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "kessai_checkout_requests", "Answers by operation and status.", ("operation", "status"), registry=registry
        )
        self._seconds = Histogram(
            "kessai_checkout_seconds", "From request to answer.", ("operation",), buckets=FAST, registry=registry
        )
        self._starts = Counter(
            "kessai_checkout_starts",
            "Starts of payments, by endpoint and what became of them.",
            ("endpoint", "outcome"),
            registry=registry,
        )
        self._platform = Histogram(
            "kessai_checkout_platform_seconds",
            "What Siglume takes to answer, tries and waits included.",
            ("call", "outcome"),
            buckets=SLOW,
            registry=registry,
        )

    def answered(self, operation: str, status: int, seconds: float) -> None:
        """`operation` is a name from the table of operations, or `-`."""
        self._answers.labels(operation, str(status)).inc()
        self._seconds.labels(operation).observe(seconds)

    def started(self, endpoint: str, outcome: str) -> None:
        self._starts.labels(endpoint, outcome).inc()

    def platform(self, call: str, outcome: str, seconds: float) -> None:
        self._platform.labels(call, outcome).observe(seconds)
