"""How much does a replay slow live traffic, and how fast is it? Dead letters are replayed during live webhooks.

Live webhooks come at a steady rate, first alone, then while a job runs at its default rate; the same orders of the same
kind either way. What the job then left is replayed as fast as it goes, with no live traffic.
"""

import asyncio
import time
from dataclasses import dataclass

import psycopg

from deploy.bench import history, letters, traffic
from deploy.bench.end_to_end import Pipeline
from deploy.bench.pools import Pooled
from deploy.bench.programs import free_port
from deploy.bench.rig import ENDPOINT, Rig, RigFailed
from shared.ledger.books import Shop
from shared.ledger.database import connected
from shared.ledger.replays import jobs
from shared.ledger.replays.jobs import Act, ReplayState, Terms
from shared.ledger.replays.plans import Plan, plan
from shared.ledger.replays.selection import Selection
from shared.ledger.replays.terms import DEFAULT_RATE

SHOPS = {ENDPOINT: Shop(merchant=traffic.MERCHANT)}
WHY = "bench"
STUCK_AFTER = 600.0
"""Seconds a replay may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFigures:
    replay_events: int
    replay_plan_s: float
    """Seconds to freeze and predict that many."""
    replay_eps: float
    """Without a rate limit, from the start of the job to its end."""
    replay_live_rate: float
    """Live webhooks a second while latency was measured."""
    live_p99_alone_ms: float
    """From the moment a live POST was due to its commit."""
    live_p99_beside_ms: float
    """The same while a job ran at its default rate."""


def measure(rig: Rig, *, events: int, live_rate: float, seconds: float) -> ReplayFigures:
    with (
        rig.books("bench_replay") as (dsn, db),
        rig.ingress() as (port, _),
        rig.worker(dsn),
        rig.kessai("replays", ["worker", "dead-letters", "--admin-port", str(free_port())], database_url=dsn),
    ):
        _add_dead_letters(rig, dsn, db, events)
        plan_seconds, planned = _timed_plan(rig, dsn)
        pipeline = Pipeline(rig, db, port, next_order=events)
        rig.stage.says(f"replay: live traffic alone, {live_rate:,.0f} a second")
        alone = pipeline.trial(live_rate, seconds)
        asyncio.run(_start(dsn, planned, rate=DEFAULT_RATE))
        rig.stage.says(f"replay: live traffic during a job at {DEFAULT_RATE:,.0f} a second")
        beside = pipeline.trial(live_rate, seconds)
        asyncio.run(_cancel(dsn, planned))
        rig.stage.says("replay: the rest, as fast as it goes")
        rest = asyncio.run(_plan(dsn))
        asyncio.run(_start(dsn, rest, rate=None))
        replayed = asyncio.run(_ended(dsn, rest))
    return ReplayFigures(
        replay_events=events,
        replay_plan_s=plan_seconds,
        replay_eps=replayed,
        replay_live_rate=live_rate,
        live_p99_alone_ms=alone.p99 * 1000,
        live_p99_beside_ms=beside.p99 * 1000,
    )


def _add_dead_letters(rig: Rig, dsn: str, db: psycopg.Connection, events: int) -> None:
    """Register orders, and keep the payment of each as a dead letter."""
    rig.stage.says(f"replay: writing {events:,} dead letters")
    history.register_orders(db, first=0, count=events)
    letters.add(dsn, first=0, count=events, secret=rig.secret, endpoint=ENDPOINT)
    history.settle_down(db)


def _timed_plan(rig: Rig, dsn: str) -> tuple[float, Plan]:
    rig.stage.says("replay: planning")
    began = time.perf_counter()
    planned = asyncio.run(_plan(dsn))
    return time.perf_counter() - began, planned


async def _plan(dsn: str) -> Plan:
    async with Pooled(dsn) as pool, Pooled(dsn, as_worker=True) as handlers:
        planned = await plan(pool, handlers, Selection(everything=True), SHOPS, actor=WHY)
    if planned.predicted != {"applied": planned.events}:
        raise RigFailed(f"a replay of payments should apply them all, and would come to {planned.predicted}")
    return planned


async def _start(dsn: str, planned: Plan, *, rate: float | None) -> None:
    async with Pooled(dsn) as pool, connected(pool) as connection:
        await jobs.start(connection, planned.plan_id, Terms(WHY, rate=rate), actor=WHY)


async def _cancel(dsn: str, planned: Plan) -> None:
    """Returns when nothing of it is in flight any more."""
    async with Pooled(dsn) as pool:
        async with connected(pool) as connection:
            job = await jobs.find(connection, planned.plan_id)
            if job.state is ReplayState.RUNNING:
                job = await jobs.tell(connection, planned.plan_id, Act.CANCEL, actor=WHY)
        deadline = time.monotonic() + STUCK_AFTER
        while job.done < job.sent:
            await _pause(deadline, "a cancelled replay does not come to its end: see the worker's log")
            async with connected(pool) as connection:
                job = await jobs.find(connection, planned.plan_id)


async def _ended(dsn: str, planned: Plan) -> float:
    """Events a second of a whole job. Raises RigFailed."""
    deadline = time.monotonic() + STUCK_AFTER
    async with Pooled(dsn) as pool:
        while True:
            async with connected(pool) as connection:
                job = await jobs.find(connection, planned.plan_id)
            if job.state is ReplayState.DONE and job.started_at and job.ended_at:
                return job.done / (job.ended_at - job.started_at).total_seconds()
            await _pause(deadline, f"the replay is {job.state} after {job.done} of {job.total} events")


async def _pause(deadline: float, complaint: str) -> None:
    if time.monotonic() > deadline:
        raise RigFailed(complaint)
    await asyncio.sleep(0.5)
