"""How fast do statements come into the books? HTTP, JSON, rows in Postgres, then every order of the settled batch.

The platform is the sandbox, in a process of its own, with settled nano payments; the books hold the orders that they
paid, still unsettled. What follows once the lists are read, settling and comparing, is measured apart.
"""

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import uvloop

from deploy.bench.pools import Pooled
from deploy.bench.programs import free_port, running
from deploy.bench.provider import AMOUNT_MINOR, SHOP
from deploy.bench.rig import ENDPOINT, Rig, RigFailed
from deploy.sandbox import remote
from shared.ledger.database import connected
from shared.ledger.revenue.syncs import List
from shared.ledger.transitions import OrderState
from shared.sdrp.api.access import Access
from shared.sdrp.api.clients import ProviderClient
from shared.sdrp.api.transport import Transport
from workers.reconcile.result import Reconciled
from workers.reconcile.turn import reconcile

ORDERS = """
INSERT INTO kessai.orders (order_id, endpoint, amount_minor, currency, state, requirement_id, created_at, updated_at)
SELECT bench.order_id(n), %(endpoint)s, %(amount)s, 'JPY', 'fulfilled_unsettled', bench.requirement_id(n),
       bench.past(n), bench.past(n)
FROM generate_series(0, %(rows)s::bigint - 1) AS n
"""
USAGE = """
INSERT INTO kessai.metered_usage (endpoint, requirement_id, order_id, event_id, pricing_band, amount_minor, currency,
                                  accepted_at)
SELECT %(endpoint)s, bench.requirement_id(n), bench.order_id(n), bench.event_id(n), 'nano', %(amount)s, 'JPY',
       now() - interval '46 days'
FROM generate_series(0, %(rows)s::bigint - 1) AS n
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileFigures:
    statement_rows: int
    statement_rps: float
    """Rows of usage that came into the books each second, while both lists were read."""
    statement_settle_ops: float
    """Orders a second that the settled batch settles, including the comparison of both sides."""


@dataclass(slots=True)
class _Reading:
    """When the first and the last row were in the books."""

    rows: int = 0
    began: float = 0.0
    ended: float = 0.0


def measure(rig: Rig, *, rows: int) -> ReconcileFigures:
    port = free_port()
    argv = [sys.executable, "-m", "deploy.bench.provider", str(rows), str(port)]
    with (
        rig.books("bench_reconcile") as (dsn, db),
        running("provider", argv, env={}, log=rig.logs / "provider.log", port=port),
    ):
        rig.stage.says(f"reconcile: {rows:,} payments at the platform, and their orders")
        _furnish(db, rows)
        remote.ask(port, "GET", "")  # answered once all of them are there
        reading = _Reading()
        result = uvloop.run(_reconcile(rig, dsn, port, rows, reading))
        ended = time.perf_counter()
    settled = result.moved[OrderState.SETTLED]
    if (result.lists[List.USAGE].new, settled) != (rows, rows):
        raise RigFailed(f"{result.lists[List.USAGE].new} of {rows} rows were read and {settled} orders settled")
    return ReconcileFigures(
        statement_rows=rows,
        statement_rps=rows / (reading.ended - reading.began),
        statement_settle_ops=rows / (ended - reading.ended),
    )


def _furnish(db: psycopg.Connection, rows: int) -> None:
    given = {"endpoint": ENDPOINT, "amount": AMOUNT_MINOR, "rows": rows}
    for query in (ORDERS, USAGE):
        db.execute(query, given)
    db.execute("VACUUM ANALYZE")


async def _reconcile(rig: Rig, dsn: str, port: int, rows: int, reading: _Reading) -> Reconciled:
    result = Reconciled(ENDPOINT)

    def watch(what: List, page: int) -> None:
        reading.ended = time.perf_counter()
        reading.rows += page if what is List.USAGE else 0
        rig.stage.says("reconcile: reading statements", done=reading.rows, of=rows)

    access = Access.of(SHOP.token, base_url=f"http://127.0.0.1:{port}/v1")
    async with Transport(access) as transport, Pooled(dsn, as_worker=True) as pool, connected(pool) as connection:
        client = ProviderClient(transport)
        reading.began = time.perf_counter()
        await reconcile(connection, client, result, clock=lambda: datetime.now(UTC), watch=watch)
    return result
