"""What waits in the books and in RabbitMQ, as gauges: the inputs of the console's alarms for a Prometheus."""

from math import nan

from prometheus_client import CollectorRegistry, Gauge

from shared.broker.depths import Depth
from shared.ledger.standing import Backlog


class OverviewMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        """Values are NaN, or their series are missing, until they are read for the first time."""
        self._letters = Gauge(
            "kessai_open_dead_letters", "Dead letters that are neither resolved nor discarded.", registry=registry
        )
        self._reviews = Gauge("kessai_open_reviews", "Open reviews, by queue.", ("queue",), registry=registry)
        self._oldest_review = Gauge(
            "kessai_oldest_review_seconds", "Age of the oldest open review; 0 when none.", ("queue",), registry=registry
        )
        self._newest_applied = Gauge(
            "kessai_newest_applied_timestamp_seconds",
            "When the newest event that was applied was applied; NaN when none of the newest events was.",
            registry=registry,
        )
        self._messages = Gauge(
            "kessai_queue_messages", "Messages of a queue that wait for a consumer.", ("queue",), registry=registry
        )
        self._consumers = Gauge(
            "kessai_queue_consumers", "Consumers of a queue that must have one.", ("queue",), registry=registry
        )
        self._letters.set(nan)
        self._newest_applied.set(nan)

    def books(self, backlog: Backlog) -> None:
        self._letters.set(backlog.open_letters)
        for each in backlog.reviews:
            self._reviews.labels(each.queue).set(each.reviews)
            age = 0.0 if each.oldest is None else (backlog.now - each.oldest).total_seconds()
            self._oldest_review.labels(each.queue).set(age)
        self._newest_applied.set(nan if backlog.newest_applied is None else backlog.newest_applied.timestamp())

    def queue(self, name: str, depth: Depth, *, must_be_consumed: bool) -> None:
        self._messages.labels(name).set(depth.messages)
        if must_be_consumed:
            self._consumers.labels(name).set(depth.consumers)
