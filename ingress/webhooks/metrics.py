"""What the webhook ingress counts."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram

from shared.observe.metrics import FAST, CounterTable

UNKNOWN_ENDPOINT = "-"
"""Stands for every path that is no configured endpoint."""


class IngressMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = CounterTable(
            "kessai_ingress_requests",
            "Webhook requests answered, by endpoint, status and reason of the answer.",
            ("endpoint", "status", "reason"),
            registry,
        )
        self._hits = CounterTable(
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
