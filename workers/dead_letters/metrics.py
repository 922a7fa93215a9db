"""What the dead-letters role counts."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from shared.observe.metrics import FAST, Children


class DeadLetterMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        archived = Counter(
            "kessai_archive_dead_letters",
            "Dead letters written to the books, by reason.",
            ("reason",),
            registry=registry,
        )
        self._archived: Children[Counter] = Children(archived.labels)
        self._batch_seconds = Histogram(
            "kessai_archive_batch_seconds", "One transaction of the archive.", buckets=FAST, registry=registry
        )

    def archived(self, reason: str, letters: int = 1) -> None:
        self._archived[(reason,)].inc(letters)

    def committed(self, seconds: float) -> None:
        self._batch_seconds.observe(seconds)
