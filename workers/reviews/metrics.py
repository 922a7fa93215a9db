"""What does the reviews role count? The endpoints are those of the settings."""

from prometheus_client import CollectorRegistry, Counter

from workers.reviews.evidence import Gathered


class ReviewMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._evidence = Counter(
            "kessai_review_evidence",
            "Requests to the platform about reviews, by outcome.",
            ("endpoint", "outcome"),
            registry=registry,
        )

    def expect(self, endpoint: str) -> None:
        """Show the series of an endpoint from the start."""
        for outcome in Gathered:
            self._evidence.labels(endpoint, outcome)

    def gathered(self, endpoint: str, outcome: Gathered) -> None:
        self._evidence.labels(endpoint, outcome).inc()
