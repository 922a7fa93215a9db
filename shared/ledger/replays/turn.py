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
    """When these events were due."""
    now: datetime
    """By the clock of Postgres, which all workers share."""
    progress: Progress


# Rows that another worker has in hand are passed over: several may serve several jobs, and one job each in turn. The
# key stays free: who counts a job's first results looks at it, and must not wait until the turn is over.
TAKE_TURN = """
SELECT replay_id, source, next_due, clock_timestamp() AS now, total, next_item - 1 AS sent, judged_from, canary,
       stop_on_fail, rate, coalesce(extract(epoch FROM clock_timestamp() - handed_at), 0)::float8 AS waited
FROM kessai.replays
WHERE state = 'running' AND (next_due IS NULL OR next_due <= clock_timestamp())
ORDER BY seen_at NULLS FIRST
LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
"""

COUNT = """
SELECT (SELECT count(*) FROM kessai.replay_items
        WHERE replay_id = $1 AND outcome IS NULL AND item <= $2) AS in_flight,
       (SELECT count(*) FROM kessai.replay_items
        WHERE replay_id = $1 AND outcome = 'dead_letter' AND item > $3 AND item <= $2) AS failed
"""


async def take_turn(connection: Connection) -> Turn | None:
    """None when no job is due, or others are at them all."""
    job = await connection.fetchrow(TAKE_TURN)
    if job is None:
        return None
    counts = await connection.fetchrow(COUNT, job["replay_id"], job["sent"], job["judged_from"])
    assert counts is not None  # noqa: S101 - a count always has a row
    return Turn(
        replay_id=job["replay_id"],
        rule_again=job["source"] == Source.REVIEWS,
        due=job["next_due"],
        now=job["now"],
        progress=Progress(
            total=job["total"],
            sent=job["sent"],
            in_flight=counts["in_flight"],
            judged_from=job["judged_from"],
            failed=counts["failed"],
            canary=job["canary"],
            stop_on_fail=job["stop_on_fail"],
            rate=job["rate"],
            waited=job["waited"],
        ),
    )


async def note_sent(connection: Connection, replay_id: int, *, sent: int, due: datetime | None) -> None:
    """`sent` events more were handed over; the next ones are due then."""
    await connection.execute(
        """
        UPDATE kessai.replays
        SET next_item = next_item + $2, next_due = $3, seen_at = clock_timestamp(),
            handed_at = CASE WHEN $2 > 0 THEN clock_timestamp() ELSE handed_at END
        WHERE replay_id = $1
        """,
        replay_id,
        sent,
        due,
    )


# The mark of how far it came goes back; results that are there already stay.
REWIND = """
UPDATE kessai.replays
SET next_item = least(next_item, coalesce((SELECT min(item) FROM kessai.replay_items AS items
                                           WHERE items.replay_id = replays.replay_id AND outcome IS NULL),
                                          next_item)),
    handed_at = NULL
WHERE replay_id = $1
"""


async def rewind(connection: Connection, replay_id: int) -> None:
    """Hand over again from the first event without a result on."""
    await connection.execute(REWIND, replay_id)


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
