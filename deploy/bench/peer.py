"""How many webhooks a second does the road most merchants take? The official SDK's own FastAPI route, measured here.

The route and its async SQLAlchemy store come from the package's templates, are laid out in a temporary folder and
run under uvicorn with uvloop and httptools, on the same Postgres. Twice: as shipped, and with an index on
`siglume_checkout_attempts.order_id`, which `mark_order_paid_once` searches by (the hash has its index as shipped).
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import psycopg

from deploy.bench import traffic
from deploy.bench.load import Plan, Result
from deploy.bench.peer_app import PACKAGE
from deploy.bench.programs import free_port, run_load, running
from deploy.bench.rig import Rig
from shared.errors import KessaiError

PATH = "/payments/webhooks/siglume"
WARM_UP = 200
"""Payments that count for nothing."""

SEED_ORDERS = """
INSERT INTO orders (id, amount_minor, currency, status)
SELECT bench.order_id(n), %s, %s, 'created'
FROM generate_series(1::bigint, %s) AS n
"""
SEED_ATTEMPTS = """
INSERT INTO siglume_checkout_attempts (attempt_id, order_id, attempt_number, stable_nonce, active_key, status,
                                       challenge_hash, checkout_session_id, checkout_url)
SELECT 'sdrp_attempt_' || n, bench.order_id(n), 1, 'sdrp-' || n, bench.order_id(n), 'pending',
       bench.challenge_hash(n), 'cs_' || n, 'https://pay.example/cs_' || n
FROM generate_series(1::bigint, %s) AS n
"""
THE_INDEX = "CREATE INDEX siglume_checkout_attempts_order_id ON siglume_checkout_attempts (order_id)"
"""What the template lacks: without it every payment scans all attempts."""


class PeerMiscounted(KessaiError):
    """The peer answered 204 to a payment that it did not book, so its figure would mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFigures:
    peer_eps: float
    """Payments booked a second as shipped."""
    peer_p99_ms: float
    peer_indexed_eps: float
    """The same with the index on order_id."""
    peer_indexed_p99_ms: float
    peer_open_orders: int


def measure(rig: Rig, *, open_orders: int, seconds: float) -> PeerFigures:
    with rig.database("bench_peer") as dsn, _peer(rig, dsn) as port, psycopg.connect(dsn, autocommit=True) as db:
        rig.stage.says(f"peer: seeding {open_orders:,} open orders")
        db.execute(SEED_ORDERS, (traffic.AMOUNT_MINOR, traffic.CURRENCY, open_orders))
        db.execute(SEED_ATTEMPTS, (open_orders,))
        db.execute("VACUUM ANALYZE")
        rig.stage.says("peer: as shipped")
        # Its pool connects and its statements are compiled before anything counts.
        warmed = run_load(Plan(port=port, path=PATH, secret=rig.secret, first=1, count=WARM_UP))
        shipped = _pay(rig, port, first=1 + warmed.sent, seconds=seconds)
        db.execute(THE_INDEX)
        rig.stage.says("peer: with an index on order_id")
        indexed = _pay(rig, port, first=1 + warmed.sent + shipped.sent, seconds=seconds)
        _check_the_books(db, sum(result.statuses.get("204", 0) for result in (warmed, shipped, indexed)))
    return PeerFigures(
        peer_eps=shipped.rps,
        peer_p99_ms=shipped.p99_ms,
        peer_indexed_eps=indexed.rps,
        peer_indexed_p99_ms=indexed.p99_ms,
        peer_open_orders=open_orders,
    )


def _pay(rig: Rig, port: int, *, first: int, seconds: float) -> Result:
    plan = Plan(port=port, path=PATH, secret=rig.secret, first=first, seconds=seconds, warm_up=min(2.0, seconds / 2))
    return run_load(plan)


def _check_the_books(db: psycopg.Connection, answered: int) -> None:
    row = db.execute("SELECT count(*) FROM siglume_checkout_attempts WHERE status = 'paid'").fetchone()
    paid = row[0] if row else 0
    if paid != answered:
        raise PeerMiscounted(f"the peer answered 204 to {answered} payments and booked {paid}: see its log")


@contextmanager
def _peer(rig: Rig, dsn: str) -> Iterator[int]:
    port = free_port()
    _lay_out_templates(rig.scratch / PACKAGE)
    argv = [sys.executable, "-m", "uvicorn", "--factory", "deploy.bench.peer_app:create_app", "--loop", "uvloop"]
    argv += ["--http", "httptools", "--no-access-log", "--log-level", "warning", "--port", str(port)]
    env = {
        "PYTHONPATH": str(rig.scratch),
        "DATABASE_URL": dsn.replace("postgresql://", "postgresql+asyncpg://", 1),
        "SIGLUME_WEBHOOK_SECRET": rig.secret,
        "SIGLUME_DIRECT_PAYMENT_MERCHANT": traffic.MERCHANT,
        "SIGLUME_MERCHANT_AUTH_TOKEN": "bench-token-that-no-call-uses",
        "SHOP_PUBLIC_ORIGIN": "https://shop.example",
    }
    with running("the peer", argv, env=env, log=rig.logs / "peer.log", port=port):
        yield port


def _lay_out_templates(package: Path) -> None:
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    templates = resources.files("siglume_direct_request_payment") / "templates" / "fastapi"
    with resources.as_file(templates) as folder:
        for module in folder.glob("*.py"):
            shutil.copy(module, package)
