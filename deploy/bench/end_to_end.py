"""What rate of webhooks can be kept up from POST to committed order, and how long does one take?

The load is an open loop: each event is due at a fixed time, whatever the ingress does, and its latency is the time
from then to the commit that applied it, as Postgres noted it (`track_commit_timestamp`). Load generator and
Postgres read the same machine's clock. A rate is kept up when the typical event of the last quarter is committed within
LAG of being due: a backlog that grows would soon push it beyond that.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from deploy.bench import history
from deploy.bench.load import Plan, percentile
from deploy.bench.programs import ProgramFailed, run_load
from deploy.bench.rig import PATH, Rig

LAG = 0.25
"""Seconds that the typical event of the last quarter may take before a rate counts as too high."""
BACK_OFF = 0.93
"""A rate that was not kept up is lowered to this share, by more at each further try; one that was is raised by it."""
LONG_RUNS = 6
"""Tries to keep up, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndToEndFigures:
    end_to_end_eps: float
    """The highest rate found that was kept up for `end_to_end_seconds`."""
    end_to_end_p50_ms: float
    """From the moment a POST was due to its commit, at that rate: by the search it is close to LAG."""
    end_to_end_p99_ms: float
    end_to_end_half_rate_p50_ms: float
    """The same at half of that rate, which is closer to what a merchant sees."""
    end_to_end_half_rate_p99_ms: float
    end_to_end_seconds: float


@dataclass(frozen=True, slots=True)
class Trial:
    rate: float
    p50: float
    p99: float
    last_quarter: float
    """Seconds that the typical event of the last quarter took."""

    @property
    def is_kept_up(self) -> bool:
        return self.last_quarter <= LAG


@dataclass(slots=True)
class Pipeline:
    """A running ingress, queue, worker and books; each trial pays orders that no other trial has paid."""

    rig: Rig
    db: psycopg.Connection
    port: int
    next_order: int = 0

    def probe(self, seconds: float) -> float:
        """POSTs a second that the ingress answers while the worker works: no rate above it can be kept up."""
        count = 20_000
        first = self._register(count)
        since = history.database_now(self.db)
        plan = Plan(port=self.port, path=PATH, secret=self.rig.secret, first=first, seconds=seconds, count=count)
        result = run_load(plan)
        history.await_applied(self.db, since=since, count=result.sent)
        return result.rps

    def trial(self, rate: float, seconds: float) -> Trial:
        count = int(rate * seconds)
        schedule = self.rig.scratch / "schedule"
        first = self._register(count)
        since = history.database_now(self.db)
        plan = Plan(
            port=self.port, path=PATH, secret=self.rig.secret, first=first, count=count, rate=rate,
            schedule=str(schedule),
        )  # fmt: skip
        result = run_load(plan)
        if result.refused:
            raise ProgramFailed(f"the ingress did not answer 204 to all: {result.refused}; see its log")
        history.await_applied(self.db, since=since, count=count)
        committed = history.commit_times(self.db, since=since, first=first, count=count)
        due = array("d", schedule.read_bytes())
        return _judge(rate, [done - due_at for done, due_at in zip(committed, due, strict=True)])

    def _register(self, count: int) -> int:
        """Register this many more orders; the number of the first."""
        first = self.next_order
        self.next_order += count
        history.register_orders(self.db, first=first, count=count)
        history.settle_down(self.db)
        return first


def measure(rig: Rig, *, search_seconds: float, steps: int, seconds: float, climbs: int) -> EndToEndFigures:
    with rig.books("bench_end_to_end") as (dsn, db), rig.ingress() as (port, _), rig.worker(dsn):
        pipeline = Pipeline(rig, db, port)
        rig.stage.says("end to end: the highest rate of the ingress")
        rate = _search(pipeline, ceiling=pipeline.probe(search_seconds), seconds=search_seconds, steps=steps)
        best = _keep_up(pipeline, rate, seconds, climbs=climbs)
        half = _long_run(pipeline, best.rate / 2, seconds)
    return EndToEndFigures(
        end_to_end_eps=best.rate,
        end_to_end_p50_ms=best.p50 * 1000,
        end_to_end_p99_ms=best.p99 * 1000,
        end_to_end_half_rate_p50_ms=half.p50 * 1000,
        end_to_end_half_rate_p99_ms=half.p99 * 1000,
        end_to_end_seconds=seconds,
    )


def _search(pipeline: Pipeline, *, ceiling: float, seconds: float, steps: int) -> float:
    """The highest rate that was kept up, by halving the interval that holds it."""
    low, high = 0.0, ceiling
    for step in range(steps):
        rate = (low + high) / 2
        pipeline.rig.stage.says(f"end to end: trying {rate:,.0f} a second", done=step, of=steps + 1)
        low, high = (rate, high) if pipeline.trial(rate, seconds).is_kept_up else (low, rate)
    return low or high


def _keep_up(pipeline: Pipeline, rate: float, seconds: float, *, climbs: int) -> Trial:
    """The long run that the figures are taken from: slower until one is kept up, then at most `climbs` times faster."""
    for step in range(LONG_RUNS):
        best = _long_run(pipeline, rate, seconds)
        if best.is_kept_up:
            break
        rate *= BACK_OFF ** (step + 1)
    else:
        raise ProgramFailed(f"no rate down to {rate:,.0f} a second was kept up end to end: is the machine busy?")
    for _ in range(climbs):
        faster = _long_run(pipeline, best.rate / BACK_OFF, seconds)
        if not faster.is_kept_up:
            break
        best = faster
    return best


def _long_run(pipeline: Pipeline, rate: float, seconds: float) -> Trial:
    pipeline.rig.stage.says(f"end to end: {rate:,.0f} a second for {seconds:.0f} s")
    return pipeline.trial(rate, seconds)


def _judge(rate: float, latencies: Sequence[float]) -> Trial:
    ordered = sorted(latencies)
    last_quarter = sorted(latencies[-(len(latencies) // 4 or 1) :])
    return Trial(rate, percentile(ordered, 0.50), percentile(ordered, 0.99), percentile(last_quarter, 0.50))
