"""What the outbox role counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.observe.metrics import FAST, Children


class OutboxMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        published = Counter(
            "kessai_outbox_published", "Facts handed to the merchant's exchange.", ("name",), registry=registry
        )
        self._published: Children[Counter] = Children(published.labels)
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
