"""Building blocks of metrics. Each role has its Prometheus families in a `metrics.py` beside it.

Label values come from closed sets of ours (configured endpoints, enums): nothing that a stranger sends can make a new
series. Children are looked up once and kept, since `labels()` costs more than the increment on the hot path.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)

Child = TypeVar("Child")


class Children(dict[tuple[str, ...], Child]):
    """The children of one family by their label values, each made at its first use."""

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


class CounterTable(Collector):
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
