"""What is in the books before and after? Orders to pay, a past of paid ones, and the commit time of each event."""

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import psycopg

from deploy.bench import traffic
from shared.errors import KessaiError

CHUNK = 50_000
"""Rows of each table in one transaction."""
STALLED_AFTER = 120.0
"""Seconds without a single event applied, after which waiting is given up."""

Say = Callable[[int], None]


class WorkerStalled(KessaiError):
    """Events lie in the queue and the worker does not apply them."""


REGISTER_ORDERS = """
INSERT INTO kessai.orders (order_id, endpoint, amount_minor, currency)
SELECT bench.order_id(n), 'siglume', %(amount)s, %(currency)s
FROM generate_series(%(first)s::bigint, %(last)s) AS n
"""
REGISTER_ATTEMPTS = """
INSERT INTO kessai.challenges (challenge_hash, order_id)
SELECT bench.challenge_hash(n), bench.order_id(n)
FROM generate_series(%(first)s::bigint, %(last)s) AS n
"""
PAID_ORDERS = """
INSERT INTO kessai.orders (order_id, endpoint, amount_minor, currency, state, requirement_id, chain_receipt_id, paid_at,
                           created_at, updated_at)
SELECT bench.order_id(n), 'siglume', %(amount)s, %(currency)s, 'paid', bench.requirement_id(n),
       bench.chain_receipt_id(n), bench.past(n), bench.past(n), bench.past(n)
FROM generate_series(%(first)s::bigint, %(last)s) AS n
"""
PAST_EVENTS = """
INSERT INTO kessai.webhook_events (endpoint, event_id, receipt_id, received_at, body_digest, type, kind, outcome,
                                   order_id, occurred_at, applied_at)
SELECT 'siglume', bench.event_id(n), bench.receipt_id(n), bench.past(n), sha256(uuid_send(bench.receipt_id(n))),
       'direct_payment.confirmed', 'standard_settled', 'applied', bench.order_id(n), bench.past(n), bench.past(n)
FROM generate_series(%(first)s::bigint, %(last)s) AS n
"""
PAST_ARCHIVE = """
INSERT INTO kessai.webhook_archive (receipt_id, received_at, endpoint, event_id, raw, signature, key_fingerprint)
SELECT bench.receipt_id(n), bench.past(n), 'siglume', bench.event_id(n), %(raw)s, %(signature)s, '0123456789ab'
FROM generate_series(%(first)s::bigint, %(last)s) AS n
"""
PAST_OUTBOX = """
INSERT INTO kessai.outbox (shard, name, routing_key, subject, body, created_at, published_at)
SELECT hashtext(bench.order_id(n)) & 15, 'order.paid', 'order.paid', bench.order_id(n), %(fact)s, bench.past(n),
       bench.past(n)
FROM generate_series(%(first)s::bigint, %(last)s) AS n
"""
PAST_AUDIT = """
INSERT INTO kessai.audit (at, actor, action, subject, endpoint, event_id, from_state, to_state)
SELECT bench.past(n), 'worker:confirmations', 'order.moved', bench.order_id(n), 'siglume', bench.event_id(n),
       'pending', 'paid'
FROM generate_series(%(first)s::bigint, %(last)s) AS n
"""
PAST = (PAID_ORDERS, REGISTER_ATTEMPTS, PAST_EVENTS, PAST_ARCHIVE, PAST_OUTBOX, PAST_AUDIT)


class TooFewCommits(KessaiError):
    """There is no time between the first and the last commit."""


def register_orders(db: psycopg.Connection, *, first: int, count: int, say: Say = lambda _: None) -> None:
    """Orders that wait for their payment, each with one challenge."""
    _fill(db, (REGISTER_ORDERS, REGISTER_ATTEMPTS), first, count, say)


def settle_orders(db: psycopg.Connection, *, first: int, count: int, say: Say = lambda _: None) -> None:
    """Orders that were paid before: every row that a worker would have left behind, the relayed facts included."""
    # Each row's partner is written with it: checking foreign keys row by row would only take time.
    db.execute("SET session_replication_role = replica")
    _fill(db, PAST, first, count, say)
    db.execute("RESET session_replication_role")


def settle_down(db: psycopg.Connection) -> None:
    """Fresh statistics and nothing left to write back, so that a measurement begins in a quiet house."""
    db.execute("VACUUM ANALYZE")
    db.execute("CHECKPOINT")


def _fill(db: psycopg.Connection, statements: Sequence[LiteralString], first: int, count: int, say: Say) -> None:
    sample = traffic.sample()
    given = {
        "amount": traffic.AMOUNT_MINOR, "currency": traffic.CURRENCY,
        "raw": sample.raw, "signature": sample.signature, "fact": sample.fact,
    }  # fmt: skip
    for start in range(first, first + count, CHUNK):
        last = min(start + CHUNK, first + count) - 1
        with db.transaction():
            for statement in statements:
                db.execute(statement, {**given, "first": start, "last": last})
        say(last + 1 - first)


@dataclass(frozen=True, slots=True)
class Applied:
    """Events of one measurement, by their commits."""

    events: int
    eps: float
    """Events a second between the first commit and the last, those of the first left out."""


COUNT_APPLIED = "SELECT count(*) FROM kessai.webhook_events WHERE received_at >= %s AND outcome = 'applied'"


def count_applied(db: psycopg.Connection, *, since: datetime) -> int:
    row = db.execute(COUNT_APPLIED, (since,)).fetchone()
    return int(row[0]) if row else 0


def await_applied(db: psycopg.Connection, *, since: datetime, count: int, say: Say = lambda _: None) -> None:
    """Return when `count` events received since then are applied. Raises WorkerStalled."""
    known, progress_at = -1, time.monotonic()
    while known < count:
        checked_at = time.monotonic()
        applied = count_applied(db, since=since)
        if applied > known:
            known, progress_at = applied, checked_at
            say(applied)
        elif checked_at - progress_at > STALLED_AFTER:
            raise WorkerStalled(f"only {applied} of {count} events were applied: see the worker's log")
        # Counting takes from the cores that are measured: at most a twentieth of the time goes to it.
        time.sleep(max(0.1, 20 * (time.monotonic() - checked_at)) if known < count else 0)


APPLY_RATE = """
WITH committed AS (
    SELECT pg_xact_commit_timestamp(xmin) AS at
    FROM kessai.webhook_events
    WHERE received_at >= %s
), edges AS (
    SELECT min(at) AS first, max(at) AS last FROM committed
)
SELECT count(*), count(*) FILTER (WHERE at > first), extract(epoch FROM max(last) - min(first))::float8
FROM committed, edges
"""


def apply_rate(db: psycopg.Connection, *, since: datetime) -> Applied:
    """How fast the events received since then were committed, by Postgres' own clock. Raises TooFewCommits."""
    row = db.execute(APPLY_RATE, (since,)).fetchone()
    events, after_first, seconds = row if row else (0, 0, 0.0)
    if not seconds:
        raise TooFewCommits(f"{events} events were committed at once: a rate needs a backlog of several batches")
    return Applied(events=events, eps=after_first / seconds)


COMMIT_TIMES = """
SELECT order_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8
FROM kessai.webhook_events
WHERE received_at >= %s
"""


def commit_times(db: psycopg.Connection, *, since: datetime, first: int, count: int) -> "array[float]":
    """Unix second of the commit of each event, by number from `first`; 0.0 where there is none."""
    times = array("d", bytes(8 * count))
    for order_id, at in db.execute(COMMIT_TIMES, (since,)):
        times[traffic.number_of(order_id) - first] = at
    return times


def database_now(db: psycopg.Connection) -> datetime:
    row = db.execute("SELECT clock_timestamp()").fetchone()
    if row is None:
        raise AssertionError("SELECT clock_timestamp() gives one row")
    now: datetime = row[0]
    return now
