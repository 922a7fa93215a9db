"""Does the memory of ingress and worker stay constant? Their resident memory while a million events pass through."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from subprocess import Popen

import psycopg

from deploy.bench import history
from deploy.bench.load import Plan
from deploy.bench.programs import ProgramFailed, resident_mb, run_load
from deploy.bench.rig import PATH, Rig

SAMPLE_EVERY = 5.0
"""Seconds; each sample counts the applied events, which costs the measured cores time."""
SETTLED_AFTER = 0.2
"""Share of the time after which a process has loaded and cached what it will; growth counts from there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident memory at one moment, in MB of 10^6 bytes."""

    applied: int
    """Events that the worker had applied."""
    ingress_mb: float
    worker_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFigures:
    ingress_rss_mb: float
    """The most at any moment."""
    worker_rss_mb: float
    ingress_growth_mb: float
    """Median of the last tenth of the samples over the median of the tenth after a fifth of the time."""
    worker_growth_mb: float
    memory_events: int
    memory_samples: tuple[Sample, ...] = field(repr=False)


def measure(rig: Rig, *, events: int) -> MemoryFigures:
    with rig.books("bench_memory") as (dsn, db):
        doing = f"memory: registering {events:,} orders"
        history.register_orders(db, first=0, count=events, say=lambda done: rig.stage.says(doing, done=done, of=events))
        history.settle_down(db)
        with rig.ingress() as (port, ingress), rig.worker(dsn) as worker:
            samples = _pass_through(rig, db, port, ingress, worker, events=events)
    return MemoryFigures(
        ingress_rss_mb=max(each.ingress_mb for each in samples),
        worker_rss_mb=max(each.worker_mb for each in samples),
        ingress_growth_mb=_growth([each.ingress_mb for each in samples]),
        worker_growth_mb=_growth([each.worker_mb for each in samples]),
        memory_events=events,
        memory_samples=tuple(samples),
    )


def _pass_through(
    rig: Rig, db: psycopg.Connection, port: int, ingress: Popen[bytes], worker: Popen[bytes], *, events: int
) -> list[Sample]:
    """Send every event as fast as the ingress takes them, and wait until the last is applied; sample meanwhile."""
    since = history.database_now(db)
    samples: list[Sample] = []

    def sample(applied: int) -> None:
        rig.stage.says(f"memory: {events:,} events through ingress and worker", done=applied, of=events)
        samples.append(Sample(applied, resident_mb(ingress.pid), resident_mb(worker.pid)))

    sample(0)
    plan = Plan(port=port, path=PATH, secret=rig.secret, first=0, count=events)
    result = run_load(plan, meanwhile=lambda: sample(history.count_applied(db, since=since)), every=SAMPLE_EVERY)
    if result.refused:
        raise ProgramFailed(f"the ingress did not answer 204 to all: {result.refused}; see its log")
    history.await_applied(db, since=since, count=events, say=sample)
    return samples


def _growth(resident: Sequence[float]) -> float:
    tenth = max(1, len(resident) // 10)
    settled = int(len(resident) * SETTLED_AFTER)
    return median(resident[-tenth:]) - median(resident[settled : settled + tenth])
