"""How fast does one worker apply a backlog to the books? Compared with pgbench and the same statements.

Each round measures the worker and then pgbench, on other orders of the same books.
"""

from dataclasses import dataclass
from statistics import median

import psycopg

from deploy.bench import history, pgbench, queues
from deploy.bench.recording import payment_script
from deploy.bench.rig import ENDPOINT, Rig
from shared.ledger.database import KEYS_ONLY, NO_JIT

WORKER_SETTINGS = NO_JIT | KEYS_ONLY
"""What the worker sets for its own connections to Postgres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyFigures:
    apply_eps: float
    """Events a second from the worker's first commit to its last, median over the rounds."""
    pgbench_tps: float
    """Transactions a second, one event each, 16 clients, median over the rounds."""
    apply_backlog: int
    """Events of one round."""


def measure(rig: Rig, *, backlog: int, rounds: int) -> ApplyFigures:
    backlog -= backlog % pgbench.CLIENTS
    worker, reference = [], []
    with rig.books("bench_apply") as (dsn, db):
        rig.stage.says("apply: registering orders")
        history.register_orders(db, first=0, count=2 * backlog * rounds)
        for number in range(rounds):
            first = 2 * backlog * number
            history.settle_down(db)
            worker.append(drain(rig, dsn, db, first=first, count=backlog).eps)
            rig.stage.says("apply: pgbench")
            history.settle_down(db)
            reference.append(_pgbench(rig, dsn, first=first + backlog, count=backlog))
    return ApplyFigures(apply_eps=median(worker), pgbench_tps=median(reference), apply_backlog=backlog)


def _pgbench(rig: Rig, dsn: str, *, first: int, count: int) -> float:
    """pgbench over these orders, which must be open; its transactions a second."""
    script = payment_script(dsn, sample=first, secret=rig.secret, endpoint=ENDPOINT)
    return pgbench.run(dsn, script, first=first, transactions=count, settings=WORKER_SETTINGS, folder=rig.scratch)


def drain(rig: Rig, dsn: str, db: psycopg.Connection, *, first: int, count: int) -> history.Applied:
    """Publish the payments of these orders, start a worker, and time it until all are committed."""
    since = history.database_now(db)
    queues.publish_backlog(
        rig.amqp_url,
        first=first,
        count=count,
        secret=rig.secret,
        endpoint=ENDPOINT,
        say=lambda done: rig.stage.says("apply: publishing a backlog", done=done, of=count),
    )
    with rig.worker(dsn):
        history.await_applied(
            db, since=since, count=count, say=lambda done: rig.stage.says("apply: one worker", done=done, of=count)
        )
    return history.apply_rate(db, since=since)
