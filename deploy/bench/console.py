"""How long does the console take for lists and searches, with large books?

Also what one refresh of the overview costs Postgres: the time it spent on statements, by its own count.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPConnection
from typing import Final
from urllib.parse import urlencode

import psycopg

from deploy.bench import history, letters, traffic
from deploy.bench.pools import Pooled
from deploy.bench.programs import free_port
from deploy.bench.rig import ENDPOINT, Rig, RigFailed
from shared.broker.envelope import Failure
from shared.ledger import api_tokens, users
from shared.ledger.database import connected
from shared.ledger.roles import Role

NAME: Final = "bench"
TRIES: Final = 9
"""Requests of each address; the slowest of them counts."""
REFRESHES: Final = 100
COUNTED_WITHIN: Final = 12.0
"""Seconds until an idle connection has reported its statistics to Postgres: it may keep them for ten."""
FAILURES: Final = (
    Failure("malformed:not_json", "MalformedEvent"),
    *(Failure("handler_error", f"Error{number}") for number in range(20)),
)

# One event in a thousand is of another kind, as a search for what is rare finds it.
RARE = """
UPDATE kessai.webhook_events
SET type = 'direct_payment.spent', kind = 'ignored', outcome = 'ignored', reason = 'not_a_confirmation'
WHERE ('x' || substr(md5(event_id), 1, 6))::bit(24)::int % 1000 = 0 AND outcome = 'applied'
"""
REVIEWS = """
INSERT INTO kessai.reviews (queue, reason, endpoint, event_id, receipt_id, received_at, body_digest, order_id,
                            challenge_hash, evidence)
SELECT 'mismatch', 'amount_differs', 'siglume', bench.event_id(n), bench.receipt_id(n), now(), '', bench.order_id(n),
       bench.challenge_hash(n), '{}'
FROM generate_series(0, %(reviews)s::bigint - 1) AS n
"""
TALLIES = """
INSERT INTO kessai.tallies (at, endpoint, kind, outcome, key_fingerprint, deliveries, longest_wait)
SELECT at, 'siglume', 'standard_settled', outcome, '0123456789ab', 60, 0.2
FROM generate_series(date_trunc('minute', now()) - interval '7 days', now(), interval '1 minute') AS at,
     unnest(ARRAY['applied', 'duplicate', 'review']) AS outcome
"""
SPENT = "SELECT active_time FROM pg_stat_database WHERE datname = current_database()"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleFigures:
    desk_events: int
    desk_letters: int
    desk_slowest_ms: float
    """The slowest answer of all addresses, from request to last byte."""
    desk_overview_db_ms: float
    """What a refresh of the overview costs Postgres, on average."""
    desk_looks_ms: Mapping[str, float]
    """The slowest answer of each address."""


def measure(rig: Rig, *, events: int, dead_letters: int) -> ConsoleFigures:
    with rig.books("bench_desk") as (dsn, db):
        _furnish(rig, dsn, db, events, dead_letters)
        with _console(rig, dsn) as console:
            addresses = list(_addresses(events, dead_letters, _middle(db)))
            slowest = {}
            for number, address in enumerate(addresses):
                rig.stage.says(f"console: {address.split('?')[0]}", done=number, of=len(addresses))
                slowest[address] = max(console.get(address) for _ in range(TRIES)) * 1000
            rig.stage.says("console: the overview, again and again")
            overview = _overview_cost(console, db)
    return ConsoleFigures(
        desk_events=events,
        desk_letters=dead_letters,
        desk_slowest_ms=max(slowest.values()),
        desk_overview_db_ms=overview,
        desk_looks_ms=slowest,
    )


def _furnish(rig: Rig, dsn: str, db: psycopg.Connection, events: int, dead_letters: int) -> None:
    def progress(doing: str, of: int) -> history.Say:
        return lambda done: rig.stage.says(doing, done=done, of=of)

    paid = events - dead_letters
    history.settle_orders(db, first=0, count=paid, say=progress(f"console: writing {paid:,} events", paid))
    history.register_orders(db, first=paid, count=dead_letters)
    letters.add(
        dsn,
        first=paid,
        count=dead_letters,
        secret=rig.secret,
        endpoint=ENDPOINT,
        failures=FAILURES,
        say=progress(f"console: writing {dead_letters:,} dead letters", dead_letters),
    )
    db.execute(RARE)
    db.execute(REVIEWS, {"reviews": dead_letters // 20})
    db.execute(TALLIES)
    history.settle_down(db)


def _middle(db: psycopg.Connection) -> datetime:
    """A moment with as many events before it as after."""
    row = db.execute(
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY received_at) FROM kessai.webhook_events"
    ).fetchone()
    if row is None or row[0] is None:
        raise RigFailed("there is no event in the books")
    middle: datetime = row[0]
    return middle


def _addresses(events: int, dead_letters: int, middle: datetime) -> Iterator[str]:
    """Addresses of lists and searches: the newest, what is deep below, what is rare, and what is not there."""
    paid, dead = (events - dead_letters) // 3, events - dead_letters // 3
    deep = {"until": middle.isoformat()}
    span = {"since": (middle - timedelta(seconds=1)).isoformat(), **deep}
    yield from ("/orders", "/events", "/dead-letters", "/dead-letters/list?state=any", "/reviews", "/audit")
    yield _address("/find", q=traffic.order_id(paid))
    yield _address("/find", q=traffic.event_id(dead))
    yield _address("/orders/show", id=traffic.order_id(paid))
    yield _address("/events", outcome="applied", kind="standard_settled", endpoint=ENDPOINT)
    for of, number in (("events", paid), ("dead-letters", dead)):
        for wanted in (
            {"limit": "100"},
            deep,
            span,
            {"event_id": traffic.event_id(number)},
            {"order_id": traffic.order_id(number)},
            {"challenge_hash": traffic.challenge_hash(number)},
            {"type": "direct_payment.spent"},
            {"type": "no.such.type"},
            {"reason": "malformed:not_json"},
            {"reason": "no_such_reason"},
            {"kind": "ignored"},
            {"endpoint": "elsewhere"},
        ):
            yield _address(f"/api/v1/{of}", **wanted)
    yield "/api/v1/events?outcome=ignored"
    yield "/api/v1/dead-letter-groups"
    yield _address("/api/v1/dead-letters", text=traffic.challenge_hash(dead))
    yield _address("/api/v1/dead-letters", text="occurs in no body")
    yield _address("/api/v1/orders", state="paid")
    yield _address(f"/api/v1/orders/{traffic.order_id(paid)}/timeline")
    yield "/api/v1/reviews?queue=mismatch"


def _address(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _overview_cost(console: "Console", db: psycopg.Connection) -> float:
    """Milliseconds of Postgres a refresh; the charts of a week, which hold the most."""
    console.get("/?range=7d")
    before = _spent(db)
    for _ in range(REFRESHES):
        console.get("/?range=7d")
    return (_spent(db) - before) / REFRESHES


def _spent(db: psycopg.Connection) -> float:
    """Milliseconds that all statements in this database took so far."""
    time.sleep(COUNTED_WITHIN)
    row = db.execute(SPENT).fetchone()
    return float(row[0]) if row else 0.0


@contextmanager
def _console(rig: Rig, dsn: str) -> Iterator["Console"]:
    port = free_port()
    argv = ["console", "--port", str(port), "--admin-port", str(free_port())]
    settings = {"KESSAI_CONSOLE_ORIGIN": f"http://127.0.0.1:{port}", "KESSAI_CONSOLE_PROXIES": "127.0.0.1"}
    token = asyncio.run(_let_in(dsn))
    with (
        rig.kessai("console", argv, database_url=dsn, port=port, settings=settings),
        closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection,
    ):
        yield Console(connection, token)


async def _let_in(dsn: str) -> str:
    """A reader, whom a proxy may name; their token."""
    async with Pooled(dsn) as pool, connected(pool) as connection:
        await users.add(connection, NAME, Role.VIEWER, "no password opens this", actor=NAME)
        return await api_tokens.add(connection, NAME, NAME, actor=NAME)


class Console:
    """A console, and somebody who reads it: pages as a proxy lets people in, the API with a token."""

    def __init__(self, connection: HTTPConnection, token: str) -> None:
        self._connection = connection
        self._as_person = {"X-Forwarded-User": NAME}
        self._as_script = {"Authorization": f"Bearer {token}"}

    def get(self, address: str) -> float:
        """Seconds until the whole answer is there. Raises RigFailed when it is no answer."""
        headers = self._as_script if address.startswith("/api/") else self._as_person
        began = time.perf_counter()
        self._connection.request("GET", address, headers=headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status not in {200, 303}:
            raise RigFailed(f"the console answers {answer.status} to {address}: see console.log")
        return time.perf_counter() - began
