"""What the confirmations role counts."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.observe.metrics import FAST, SLOW, Children

SIZES = (1, 2, 5, 10, 25, 50, 100, 200, 350, 500, 750, 1000)


class ConfirmationMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        events = Counter(
            "kessai_events",
            "Events with a recorded outcome, by endpoint, kind, outcome and reason.",
            ("endpoint", "kind", "outcome", "reason"),
            registry=registry,
        )
        retries = Counter(
            "kessai_transient_retries", "Attempts repeated after a transient error.", ("error",), registry=registry
        )
        dead = Counter(
            "kessai_dead_letters", "Deliveries that became dead letters, by reason.", ("reason",), registry=registry
        )
        self._events: Children[Counter] = Children(events.labels)
        self._retries: Children[Counter] = Children(retries.labels)
        self._dead: Children[Counter] = Children(dead.labels)
        self._batch_events = Histogram(
            "kessai_batch_events", "Events applied in one transaction.", buckets=SIZES, registry=registry
        )
        self._batch_seconds = Histogram(
            "kessai_batch_seconds",
            "From the first event of a batch in hand to its commit.",
            buckets=FAST,
            registry=registry,
        )
        self._receipt_to_commit = Histogram(
            "kessai_receipt_to_commit_seconds",
            "From the receipt of the webhook to its commit in the books.",
            buckets=SLOW,
            registry=registry,
        )
        self._held = Gauge(
            "kessai_held_deliveries",
            "Messages that this worker has received from RabbitMQ and not acknowledged yet.",
            registry=registry,
        )

    def settled(self, *, endpoint: str, kind: str, outcome: str, reason: str = "", events: int = 1) -> None:
        self._events[endpoint, kind, outcome, reason].inc(events)

    def committed(self, *, events: int, seconds: float) -> None:
        """One transaction took `seconds`."""
        self._batch_events.observe(events)
        self._batch_seconds.observe(seconds)

    def waited(self, seconds: float) -> None:
        """One event took `seconds` from receipt to commit."""
        self._receipt_to_commit.observe(seconds)

    def retried(self, error: str) -> None:
        """`error` is the class of a transient exception."""
        self._retries[(error,)].inc()

    def dead_lettered(self, reason: str) -> None:
        self._dead[(reason,)].inc()

    def watch(self, *, held: Callable[[], int]) -> None:
        """`held` is called at each scrape."""
        self._held.set_function(held)
