"""pgbench does to the books what the worker does, one transaction an event."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
from psycopg.rows import dict_row

from deploy.bench import history, pgbench, traffic
from deploy.bench.queues import envelope_of
from deploy.bench.recording import payment_script
from shared.ledger.apply import apply_batch
from shared.ledger.books import Shop
from shared.ledger.incoming import read
from shared.sdrp.signature import SigningSecret

TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)")
SECRET = "whsec_pgbench"
BY_PGBENCH = 2 * pgbench.CLIENTS
BY_WORKER = BY_PGBENCH
"""Number of the one order that the worker's code pays."""


def test_pgbench_leaves_the_rows_that_the_worker_leaves(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute(traffic.SQL)
        history.register_orders(db, first=0, count=BY_PGBENCH + 1)
        script = payment_script(database_url, sample=0, secret=SECRET, endpoint="siglume")

        pgbench.run(database_url, script, first=0, transactions=BY_PGBENCH, settings={"jit": "off"}, folder=tmp_path)
        asyncio.run(_pay(database_url, BY_WORKER))

        by_worker = _rows(db, BY_WORKER)
        assert set(map(len, by_worker.values())) == {1}
        for number in range(BY_PGBENCH):
            assert _rows(db, number) == by_worker, number


async def _pay(database_url: str, number: int) -> None:
    envelope = envelope_of(number, secret=SigningSecret.from_text(SECRET), endpoint="siglume")
    connection = await asyncpg.connect(database_url)
    await apply_batch(connection, [read(envelope)], {"siglume": Shop(traffic.MERCHANT)}, now=datetime.now(UTC))
    await connection.close()


ROWS = {
    "orders": "SELECT * FROM kessai.orders WHERE order_id = %(order)s",
    "webhook_events": "SELECT * FROM kessai.webhook_events WHERE event_id = %(event)s",
    "webhook_archive": "SELECT * FROM kessai.webhook_archive WHERE event_id = %(event)s",
    "outbox": "SELECT * FROM kessai.outbox WHERE subject = %(order)s",
    "audit": "SELECT * FROM kessai.audit WHERE event_id = %(event)s",
}
OF_ITS_OWN = {
    *("receipt_id", "received_at", "occurred_at", "applied_at", "paid_at", "created_at", "updated_at", "at"),
    *("outbox_id", "audit_id", "shard", "body_digest", "signature"),
}
"""Columns in which any two payments differ."""


def _rows(db: psycopg.Connection, number: int) -> dict[str, list[dict[str, Any]]]:
    """What a payment left in each table, with the number struck out of every name."""
    names = [
        (traffic.order_id(number), "ORDER"),
        (traffic.event_id(number), "EVENT"),
        (traffic.challenge_hash(number), "HASH"),
        (traffic.requirement_id(number), "REQUIREMENT"),
        (traffic.chain_receipt_id(number), "RECEIPT"),
    ]
    wanted = {"order": traffic.order_id(number), "event": traffic.event_id(number)}
    return {
        table: [
            {column: _struck(value, names) for column, value in row.items() if column not in OF_ITS_OWN}
            for row in db.cursor(row_factory=dict_row).execute(query, wanted)
        ]
        for table, query in ROWS.items()
    }


def _struck(value: object, names: list[tuple[str, str]]) -> object:
    text = bytes(value).decode() if isinstance(value, bytes | memoryview) else value
    if not isinstance(text, str):
        return value
    for name, mark in names:
        text = text.replace(name, mark)
    # Times of day differ from one payment to the next.
    return TIME.sub("TIME", text)
