"""What does each role count? Prometheus families, one class a role, on a registry that the caller owns.

Label values come from closed sets of ours (configured endpoints, enums): nothing that a stranger sends can make a new
series. Children are looked up once and kept, since `labels()` costs more than the increment on the hot path.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

UNKNOWN_ENDPOINT = "-"
"""Stands for every path that is no configured endpoint."""

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
SIZES = (1, 2, 5, 10, 25, 50, 100, 200, 350, 500, 750, 1000)


Child = TypeVar("Child")


class _Children(dict[tuple[str, ...], Child]):
    """The children of one family by their label values, made when first met."""

    def __init__(self, make: Callable[..., Child]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, values: tuple[str, ...]) -> Child:
        child = self[values] = self._make(*values)
        return child


def new_registry() -> CollectorRegistry:
    """A registry of one process, with its memory, CPU and open files."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    return registry


class _Tally(Collector):
    """A counter family in a plain dict, for the hot path of one thread: a Counter's lock costs more than its count."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...], registry: CollectorRegistry) -> None:
        self._about = (name, documentation, labels)
        self.counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        name, documentation, labels = self._about
        return [CounterMetricFamily(name, documentation, labels=labels)]

    def collect(self) -> Iterable[Metric]:
        """Called from the thread that prints the registry; the copy is one step under the interpreter's lock."""
        name, documentation, labels = self._about
        family = CounterMetricFamily(name, documentation, labels=labels)
        for values, count in self.counts.copy().items():
            family.add_metric(values, count)
        return [family]


class IngressMetrics:
    """What the webhook door counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = _Tally(
            "kessai_ingress_requests",
            "Webhook requests answered, by endpoint, status and reason of the answer.",
            ("endpoint", "status", "reason"),
            registry,
        )
        self._hits = _Tally(
            "kessai_ingress_secret_hits",
            "Requests verified by each live secret; one without hits for long is safe to retire.",
            ("endpoint", "fingerprint"),
            registry,
        )
        self._publish_seconds = Histogram(
            "kessai_ingress_publish_seconds",
            "From handing a message to RabbitMQ to its confirm.",
            buckets=FAST,
            registry=registry,
        )
        self._in_flight = Gauge(
            "kessai_ingress_in_flight", "Publishes that wait for their confirm now.", registry=registry
        )
        self._connections = Gauge("kessai_ingress_connections", "Open client connections now.", registry=registry)
        self._broker_ready = Gauge(
            "kessai_ingress_broker_ready", "1 when RabbitMQ takes publishes, else 0.", registry=registry
        )

    def answered(self, endpoint: str, status: str, reason: str) -> None:
        self._requests.counts[endpoint, status, reason] += 1

    def verified(self, endpoint: str, fingerprint: str) -> None:
        self._hits.counts[endpoint, fingerprint] += 1

    def expect_secret(self, endpoint: str, fingerprint: str) -> None:
        """Show a live secret at 0 from the start, so that one nobody uses is seen."""
        self._hits.counts[endpoint, fingerprint] += 0

    def published(self, seconds: float) -> None:
        self._publish_seconds.observe(seconds)

    def watch(
        self,
        *,
        in_flight: Callable[[], float],
        connections: Callable[[], float],
        broker_ready: Callable[[], bool],
    ) -> None:
        """Read these when scraped, not on every request."""
        self._in_flight.set_function(in_flight)
        self._connections.set_function(connections)
        self._broker_ready.set_function(lambda: float(broker_ready()))


class WorkerMetrics:
    """What a consumer of confirmations counts."""

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
            "kessai_dead_letters", "Deliveries set aside as dead letters, by reason.", ("reason",), registry=registry
        )
        self._events: _Children[Counter] = _Children(events.labels)
        self._retries: _Children[Counter] = _Children(retries.labels)
        self._dead: _Children[Counter] = _Children(dead.labels)
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
            "From the webhook at the door to its commit in the books.",
            buckets=SLOW,
            registry=registry,
        )
        self._held = Gauge(
            "kessai_held_deliveries", "Deliveries held while Postgres is away or a batch is open.", registry=registry
        )

    def settled(self, *, endpoint: str, kind: str, outcome: str, reason: str = "", events: int = 1) -> None:
        self._events[endpoint, kind, outcome, reason].inc(events)

    def committed(self, *, events: int, seconds: float) -> None:
        """One transaction of so many events, `seconds` long."""
        self._batch_events.observe(events)
        self._batch_seconds.observe(seconds)

    def waited(self, seconds: float) -> None:
        """One event took so long from receipt to commit."""
        self._receipt_to_commit.observe(seconds)

    def retried(self, error: str) -> None:
        """`error` is the class of a transient exception."""
        self._retries[(error,)].inc()

    def dead_lettered(self, reason: str) -> None:
        self._dead[(reason,)].inc()

    def holding(self, deliveries: int) -> None:
        self._held.set(deliveries)


class OutboxMetrics:
    """What the relay of committed facts counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        published = Counter(
            "kessai_outbox_published", "Facts handed to the merchant's exchange.", ("name",), registry=registry
        )
        self._published: _Children[Counter] = _Children(published.labels)
        self._lag = Gauge(
            "kessai_outbox_lag_seconds",
            "Age of the oldest fact that is not yet relayed; 0 when none.",
            registry=registry,
        )
        self._relay_seconds = Histogram(
            "kessai_outbox_relay_seconds", "One round of the relay.", buckets=FAST, registry=registry
        )

    def published(self, name: str, facts: int = 1) -> None:
        self._published[(name,)].inc(facts)

    def lag(self, seconds: float) -> None:
        self._lag.set(seconds)

    def relayed(self, seconds: float) -> None:
        self._relay_seconds.observe(seconds)


class ArchiveMetrics:
    """What the archive of dead letters counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        archived = Counter(
            "kessai_archive_dead_letters",
            "Dead letters written to the books, by reason.",
            ("reason",),
            registry=registry,
        )
        self._archived: _Children[Counter] = _Children(archived.labels)
        self._batch_seconds = Histogram(
            "kessai_archive_batch_seconds", "One transaction of the archive.", buckets=FAST, registry=registry
        )

    def archived(self, reason: str, letters: int = 1) -> None:
        self._archived[(reason,)].inc(letters)

    def committed(self, seconds: float) -> None:
        self._batch_seconds.observe(seconds)
