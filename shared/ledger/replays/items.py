"""The single events of a replay: what each would come to, what it came to, and the bytes to hand over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from shared.broker.envelope import Envelope, ReplayMark
from shared.ledger.books import Outcome
from shared.ledger.database import Connection


class ItemResult(NamedTuple):
    """What became of an item, or would."""

    replay_id: int
    item: int
    outcome: str
    reason: str | None = None
    changes: dict[str, Any] | None = None
    """Of a prediction: what would move, and what would be opened."""


class Withheld(NamedTuple):
    """Why an item is not handed over, as its result."""

    outcome: Outcome
    reason: str


PRUNED = Withheld(Outcome.DEAD_LETTER, "bytes_pruned")
DISCARDED = Withheld(Outcome.IGNORED, "discarded")
"""A person decided meanwhile that nobody needs this dead letter."""


@dataclass(frozen=True, slots=True)
class ReplayItem:
    item: int
    endpoint: str
    event_id: str | None
    received_at: datetime
    predicted_outcome: str | None
    predicted_reason: str | None
    predicted: dict[str, Any] | None
    """What it would change: an order's state, a review."""
    outcome: str | None
    """None until it was handled."""
    reason: str | None
    settled_at: datetime | None

    @property
    def change(self) -> str | None:
        """What was predicted to change: `order-1: pending → paid`, `review: amount_mismatch`."""
        said = self.predicted or {}
        told = [f"{said.get('order_id')}: {said['from']} → {said['to']}"] if "to" in said else []
        told += [f"{name}: {said[name]}" for name in ("review", "batch") if name in said]
        return ", ".join(told) or said.get("order_id")


SETTLE_ITEMS = """
WITH settled AS (
    UPDATE kessai.replay_items AS known
    SET outcome = given.outcome, reason = given.reason, settled_at = clock_timestamp()
    FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[]) AS given (replay_id, item, outcome, reason)
    WHERE known.replay_id = given.replay_id AND known.item = given.item AND known.outcome IS NULL
    RETURNING known.replay_id, known.item, known.outcome
), counted AS (
    INSERT INTO kessai.replay_tallies AS tally (replay_id, outcome, backend, events)
    SELECT replay_id, outcome, pg_backend_pid(), count(*)
    FROM settled
    GROUP BY replay_id, outcome
    ON CONFLICT (replay_id, outcome, backend) DO UPDATE SET events = tally.events + excluded.events
)
SELECT replay_id, item FROM settled
"""


async def settle_items(connection: Connection, results: Sequence[ItemResult]) -> list[tuple[int, int]]:
    """Note what items came to, and return those that had no result yet: a redelivery changes none."""
    ordered = sorted(results, key=lambda result: (result.replay_id, result.item))
    rows = await connection.fetch(
        SETTLE_ITEMS,
        [result.replay_id for result in ordered],
        [result.item for result in ordered],
        [result.outcome for result in ordered],
        [result.reason for result in ordered],
    )
    return [(row["replay_id"], row["item"]) for row in rows]


async def predict_items(connection: Connection, replay_id: int, results: Sequence[ItemResult]) -> None:
    """Note what items of a plan would come to, and that it has come so much further."""
    await connection.execute(
        """
        WITH noted AS (
            UPDATE kessai.replay_items AS known
            SET predicted_outcome = given.outcome, predicted_reason = given.reason, predicted = given.changes
            FROM unnest($2::int[], $3::text[], $4::text[], $5::jsonb[]) AS given (item, outcome, reason, changes)
            WHERE known.replay_id = $1 AND known.item = given.item
            RETURNING known.item
        )
        UPDATE kessai.replays
        SET predicted_to = predicted_to + (SELECT count(*) FROM noted)
        WHERE replay_id = $1
        """,
        replay_id,
        [result.item for result in results],
        [result.outcome for result in results],
        [result.reason for result in results],
        [orjson.dumps(result.changes).decode() if result.changes else None for result in results],
    )


# A dead letter's bytes lie beside it; once its event was applied they lie in the archive as well.
TAKE = """
SELECT item, endpoint, items.event_id, receipt_id, items.received_at, letter.type, letter.state AS letter_state,
       coalesce(letter.raw, archived.raw) AS raw,
       coalesce(letter.signature, archived.signature) AS signature,
       coalesce(letter.key_fingerprint, archived.key_fingerprint) AS key_fingerprint,
       coalesce(letter.traceparent, archived.traceparent) AS traceparent
FROM kessai.replay_items AS items
LEFT JOIN LATERAL (
    SELECT type, state, raw, signature, key_fingerprint, traceparent
    FROM kessai.dead_letters
    WHERE dead_letters.receipt_id = items.receipt_id
) AS letter ON true
LEFT JOIN LATERAL (
    SELECT raw, signature, key_fingerprint, traceparent
    FROM kessai.webhook_archive
    WHERE webhook_archive.receipt_id = items.receipt_id AND webhook_archive.received_at = items.received_at
) AS archived ON true
WHERE replay_id = $1 AND item >= $2
ORDER BY item
LIMIT $3
"""


async def take(
    connection: Connection, replay_id: int, *, first: int, limit: int, rule_again: bool
) -> list[tuple[int, Envelope | Withheld]]:
    """Items from `first` on, each with its envelope, or why it has none."""
    rows = await connection.fetch(TAKE, replay_id, first, limit)
    return [(row["item"], _envelope(row, ReplayMark(replay_id, row["item"], rule_again))) for row in rows]


def _envelope(row: Any, mark: ReplayMark) -> Envelope | Withheld:  # noqa: ANN401 - a row of TAKE
    if row["letter_state"] == "discarded":
        return DISCARDED
    if row["raw"] is None:
        return PRUNED
    return Envelope(
        receipt_id=UUID(bytes=row["receipt_id"].bytes),  # asyncpg's own class is none that orjson knows
        endpoint=row["endpoint"],
        received_at=row["received_at"],
        signature=row["signature"],
        key_fingerprint=row["key_fingerprint"],
        raw=row["raw"],
        event_id=row["event_id"],
        type=row["type"],
        traceparent=row["traceparent"],
        replay=mark,
    )


async def count_predicted(connection: Connection, replay_id: int) -> int:
    """How far a plan that is being made has come, in events."""
    predicted: int = await connection.fetchval(
        "SELECT predicted_to FROM kessai.replays WHERE replay_id = $1", replay_id
    )
    return predicted


async def list_items(
    connection: Connection, replay_id: int, *, limit: int, after: int = 0, outcome: str | None = None
) -> list[ReplayItem]:
    """Items in their order, from the one after `after` on; `outcome` is what was predicted or came true."""
    rows = await connection.fetch(
        """
        SELECT item, endpoint, event_id, received_at, predicted_outcome, predicted_reason, predicted, outcome, reason,
               settled_at
        FROM kessai.replay_items
        WHERE replay_id = $1 AND item > $2 AND ($4::text IS NULL OR coalesce(outcome, predicted_outcome) = $4)
        ORDER BY item
        LIMIT $3
        """,
        replay_id,
        after,
        limit,
        outcome,
    )
    return [
        ReplayItem(**{**dict(row), "predicted": orjson.loads(row["predicted"]) if row["predicted"] else None})
        for row in rows
    ]
