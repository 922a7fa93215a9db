"""A worker's turn at a running replay: take the job, see where it stands, note how far it came."""

from dataclasses import dataclass
from datetime import datetime

from shared.ledger import audit
from shared.ledger.database import Connection
from shared.ledger.replays.pacing import Progress
from shared.ledger.replays.selection import Source

ACTOR = "worker:dead-letters"


@dataclass(frozen=True, slots=True)
class Turn:
    """A running job that is due, locked until the transaction ends."""

    replay_id: int
    rule_again: bool
    due: datetime | None
    progress: Progress


# Rows that another worker has in hand are passed over: several may serve several jobs, and one job each in turn.
TAKE_TURN = """
SELECT replay_id, source, next_due, total, next_item - 1 AS sent, canary, stop_on_fail, rate
FROM kessai.replays
WHERE state = 'running' AND (next_due IS NULL OR next_due <= clock_timestamp())
ORDER BY seen_at NULLS FIRST
LIMIT 1
FOR UPDATE SKIP LOCKED
"""

COUNT = """
SELECT (SELECT count(*) FROM kessai.replay_items
        WHERE replay_id = $1 AND outcome IS NULL AND item <= $2) AS in_flight,
       (SELECT count(*) FROM kessai.replay_items
        WHERE replay_id = $1 AND outcome = 'dead_letter') AS failed
"""


async def take_turn(connection: Connection) -> Turn | None:
    """None when no job is due, or others are at them all."""
    job = await connection.fetchrow(TAKE_TURN)
    if job is None:
        return None
    counts = await connection.fetchrow(COUNT, job["replay_id"], job["sent"])
    assert counts is not None  # noqa: S101 - a count always has a row
    return Turn(
        replay_id=job["replay_id"],
        rule_again=job["source"] == Source.REVIEWS,
        due=job["next_due"],
        progress=Progress(
            total=job["total"],
            sent=job["sent"],
            in_flight=counts["in_flight"],
            failed=counts["failed"],
            canary=job["canary"],
            stop_on_fail=job["stop_on_fail"],
            rate=job["rate"],
        ),
    )


async def note_sent(connection: Connection, replay_id: int, *, sent: int, due: datetime | None) -> None:
    """`sent` events more were handed over; the next ones are due then."""
    await connection.execute(
        """
        UPDATE kessai.replays
        SET next_item = next_item + $2, next_due = $3, seen_at = clock_timestamp()
        WHERE replay_id = $1
        """,
        replay_id,
        sent,
        due,
    )


async def end(connection: Connection, replay_id: int, state: str, because: str | None) -> None:
    await connection.execute(
        """
        UPDATE kessai.replays
        SET state = $2, ended_at = now(), ended_because = $3, seen_at = clock_timestamp()
        WHERE replay_id = $1
        """,
        replay_id,
        state,
        because,
    )
    await audit.record(
        connection,
        actor=ACTOR,
        action=f"replay.{state}",
        subject=f"replay:{replay_id}",
        detail={"because": because} if because else None,
    )
