"""What the reconcile role and its sweep count. Endpoints are those of the settings."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from workers.reconcile.result import Reconciled
from workers.reconcile.sweep import Look, LookResult

SECONDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)


class ReconcileMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "kessai_reconcile_runs",
            "Runs through an endpoint's statements, by how they ended.",
            ("endpoint", "result"),
            registry=registry,
        )
        self._rows = Counter(
            "kessai_reconcile_rows", "Rows of statements that were read.", ("endpoint", "list"), registry=registry
        )
        self._orders = Counter(
            "kessai_reconcile_orders",
            "Orders that heard what became of their batch, by what they are now.",
            ("endpoint", "state"),
            registry=registry,
        )
        self._differences = Gauge(
            "kessai_reconcile_differences",
            "Differences between statements and webhooks at the last run.",
            ("endpoint",),
            registry=registry,
        )
        self._unexplained = Gauge(
            "kessai_reconcile_unexplained",
            "Sums at the last run that the books do not account for.",
            ("endpoint",),
            registry=registry,
        )
        self._exposed = Gauge(
            "kessai_reconcile_exposed_buyers",
            "Buyers at the last run near the amount at which the platform takes no more of them, or beyond it.",
            ("endpoint", "level"),
            registry=registry,
        )
        self._finished_at = Gauge(
            "kessai_reconcile_finished_timestamp_seconds",
            "When the last run of any process came to its end; 0 before the first.",
            ("endpoint",),
            registry=registry,
        )
        self._seconds = Histogram(
            "kessai_reconcile_seconds", "One run to its end.", ("endpoint",), buckets=SECONDS, registry=registry
        )

    def expect(self, endpoint: str) -> None:
        """Show an endpoint from the start."""
        self._finished_at.labels(endpoint)

    def did(self, result: Reconciled) -> None:
        """Of a run that came to its end, and of one that did not."""
        for what, read in result.lists.items():
            self._rows.labels(result.endpoint, what).inc(read.rows)
        for state, orders in result.moved.items():
            self._orders.labels(result.endpoint, state).inc(orders)

    def finished(self, result: Reconciled, seconds: float) -> None:
        endpoint = result.endpoint
        self._runs.labels(endpoint, "finished").inc()
        self.found(result)
        self._finished_at.labels(endpoint).set_to_current_time()
        self._seconds.labels(endpoint).observe(seconds)

    def found(self, result: Reconciled) -> None:
        """What a run found, whichever process ran it."""
        endpoint = result.endpoint
        self._differences.labels(endpoint).set(result.compared.differences)
        self._unexplained.labels(endpoint).set(len(result.unexplained))
        for level, buyers in result.exposed.counts.items():
            self._exposed.labels(endpoint, level).set(buyers)

    def compared(self, endpoint: str, at: datetime) -> None:
        """The books say that the last comparison was then."""
        self._finished_at.labels(endpoint).set(at.timestamp())

    def failed(self, endpoint: str) -> None:
        self._runs.labels(endpoint, "failed").inc()


class SweepMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._looks = Counter(
            "kessai_sweep_looks",
            "Looks at sessions whose webhook has not come, by what they found.",
            ("endpoint", "found"),
            registry=registry,
        )

    def expect(self, endpoint: str) -> None:
        """Show an endpoint from the start."""
        for result in LookResult:
            self._looks.labels(endpoint, result)

    def looked(self, look: Look) -> None:
        self._looks.labels(look.endpoint, look.result).inc()
