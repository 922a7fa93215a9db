"""Facts on their way to the merchant's exchange, one relay at a time for each shard of subjects."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.ledger.columns import given, pack
from shared.ledger.database import Connection
from shared.ledger.facts import OutboxFact

SHARDS: Final = 16
_LOCK_CLASS = 1801810804
"""First half of the advisory lock of a shard, beside the one of shared/ledger/lookup.py."""


@dataclass(frozen=True, slots=True)
class WaitingFact:
    outbox_id: int
    name: str
    routing_key: str
    subject: str
    body: str
    """JSON."""
    created_at: datetime


PUT = f"""
INSERT INTO kessai.outbox (shard, name, routing_key, subject, body)
SELECT hashtext(subject) & {SHARDS - 1}, name, routing_key, subject, body
FROM {given(name="text", routing_key="text", subject="text", body="text")}
"""


async def put(connection: Connection, told: Sequence[OutboxFact]) -> None:
    """Postgres numbers the rows as they are given, so the outbox keeps their order."""
    await connection.execute(
        PUT,
        *pack(
            [fact.name for fact in told],
            [fact.routing_key for fact in told],
            [fact.subject for fact in told],
            [fact.body for fact in told],
        ),
    )


async def waiting_shards(connection: Connection) -> list[int]:
    """Shards that have something to publish."""
    rows = await connection.fetch(
        """
        SELECT shard
        FROM generate_series(0, $1::int - 1) AS shard
        WHERE EXISTS (SELECT FROM kessai.outbox WHERE outbox.shard = shard.shard AND published_at IS NULL)
        """,
        SHARDS,
    )
    return [row["shard"] for row in rows]


async def lock_shard(connection: Connection, shard: int) -> bool:
    """Keep other relays off this shard until the transaction ends; False when one is at it already."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1, $2)", _LOCK_CLASS, shard))


async def take(connection: Connection, shard: int, *, limit: int) -> list[WaitingFact]:
    """The oldest facts of a shard, in the order in which they were decided."""
    rows = await connection.fetch(
        """
        SELECT outbox_id, name, routing_key, subject, body, created_at
        FROM kessai.outbox
        WHERE shard = $1 AND published_at IS NULL
        ORDER BY outbox_id
        LIMIT $2
        """,
        shard,
        limit,
    )
    return [WaitingFact(**dict(row)) for row in rows]


async def oldest_waiting(connection: Connection) -> datetime | None:
    """When the fact that has waited longest was decided; None when none waits."""
    rows = await connection.fetch(
        """
        SELECT oldest.created_at
        FROM generate_series(0, $1::int - 1) AS shard,
             LATERAL (SELECT created_at FROM kessai.outbox
                      WHERE outbox.shard = shard.shard AND published_at IS NULL
                      ORDER BY outbox_id LIMIT 1) AS oldest
        """,
        SHARDS,
    )
    return min((row["created_at"] for row in rows), default=None)


async def mark_published(connection: Connection, outbox_ids: Sequence[int]) -> None:
    await connection.execute(
        "UPDATE kessai.outbox SET published_at = clock_timestamp() WHERE outbox_id = ANY ($1::bigint[])", outbox_ids
    )
