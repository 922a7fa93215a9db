"""What may be forgotten, and when? Raw bytes of archived months and of closed dead letters, and claims.

The dedupe horizon is kept in the books: whoever replays something older is refused, since a claim that is gone can no
longer tell a repetition from a first delivery. A claim is never removed while anything that is kept could be replayed
onto it: an archived month, a dead letter with its bytes, an open review, a plan.

A closed dead letter loses its bytes and keeps its row, which says what happened and who decided on it. An open one
keeps its bytes, however old, because only a person may end it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.ledger.database import Connection, affected

ROWS_AT_ONCE = 5000
"""Rows of one transaction, so that neither locks nor the write-ahead log pile up."""
UNFINISHED = "('planning', 'planned', 'running', 'paused', 'stopped')"


@dataclass(frozen=True, slots=True)
class Keep:
    """How long things are kept, by their receipt."""

    raw: timedelta
    """Bytes, by whole months: a month goes when its last moment is older."""
    claims: timedelta
    """At least as long as the platform may redeliver, and never shorter than the bytes."""


@dataclass(frozen=True, slots=True)
class Pruned:
    months: tuple[str, ...]
    """Archive partitions that went."""
    kept_months: tuple[str, ...]
    """Those that are old enough, and still needed by an open review or a plan."""
    dead_letters: int
    """Closed ones that lost their bytes."""
    claims: int
    facts: int
    """Rows of the outbox that were published long ago."""
    claims_before: datetime
    """The dedupe horizon now."""


async def prune(connection: Connection, keep: Keep, *, now: datetime, dry_run: bool = False) -> Pruned:
    """Forget what is older than `keep` says and nothing could need. Safe beside workers, and to interrupt."""
    months, needed = await _old_months(connection, now - keep.raw)
    if not dry_run:
        for month in months:
            await _drop_month(connection, month)
        await connection.execute(PRUNE_CATCH_ALL, now - keep.raw)
    letters = await _delete_letter_bytes(connection, now - keep.raw, dry_run=dry_run)
    before = await _claims_before(connection, now - max(keep.claims, keep.raw), without=months)
    horizon = await _advance_horizon(connection, before, dry_run=dry_run)
    claims = await _prune_claims(connection, horizon, raw_before=now - keep.raw, dry_run=dry_run)
    facts = await _prune_facts(connection, now - keep.claims, dry_run=dry_run)
    return Pruned(tuple(months), tuple(needed), letters, claims, facts, horizon)


async def prune_alone(connection: Connection, keep: Keep, *, now: datetime) -> Pruned | None:
    """None when somebody else is at it."""
    if not await connection.fetchval("SELECT pg_try_advisory_lock(1801810805, 1)"):
        return None
    try:
        return await prune(connection, keep, now=now)
    finally:
        await connection.execute("SELECT pg_advisory_unlock(1801810805, 1)")


MONTHS = """
SELECT child.relname AS name,
       (to_date(right(child.relname, 7), 'YYYY_MM') + interval '1 month')::timestamp AT TIME ZONE 'UTC' AS ends,
       to_date(right(child.relname, 7), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC' AS begins
FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'kessai.webhook_archive'::regclass AND child.relname ~ '_[0-9]{4}_[0-9]{2}$'
"""

OLD_MONTHS = f"""
SELECT name,
       EXISTS (SELECT FROM kessai.reviews
               WHERE state = 'open' AND received_at >= begins AND received_at < ends)
       OR EXISTS (SELECT FROM kessai.replay_items AS items
                  JOIN kessai.replays USING (replay_id)
                  WHERE replays.state IN {UNFINISHED} AND items.outcome IS NULL
                    AND items.received_at >= begins AND items.received_at < ends) AS is_needed
FROM ({MONTHS}) AS months
WHERE ends <= $1
ORDER BY name
"""


async def _old_months(connection: Connection, before: datetime) -> tuple[list[str], list[str]]:
    rows = await connection.fetch(OLD_MONTHS, before)
    return (
        [row["name"] for row in rows if not row["is_needed"]],
        [row["name"] for row in rows if row["is_needed"]],
    )


async def _drop_month(connection: Connection, name: str) -> None:
    """The name comes from the catalogue. The lock on the parent is short, and given up when workers hold it."""
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '2s'")
        await connection.execute(f'DROP TABLE IF EXISTS kessai."{name}"')


# What came before its month was ready, or was replayed after its month had gone.
PRUNE_CATCH_ALL = f"""
DELETE FROM kessai.webhook_archive_default AS archived
WHERE received_at < $1
  AND NOT EXISTS (SELECT FROM kessai.reviews
                  WHERE reviews.endpoint = archived.endpoint AND reviews.event_id = archived.event_id
                    AND reviews.receipt_id = archived.receipt_id AND reviews.state = 'open')
  AND NOT EXISTS (SELECT FROM kessai.replay_items AS items
                  JOIN kessai.replays USING (replay_id)
                  WHERE items.endpoint = archived.endpoint AND items.event_id = archived.event_id
                    AND replays.state IN {UNFINISHED} AND items.outcome IS NULL)
"""


# A review of the same event may still need the bytes, and so may a replay that has not come to them.
OLD_LETTER = f"""
letter.state <> 'open' AND letter.raw IS NOT NULL AND letter.received_at < {{before}}
  AND NOT EXISTS (SELECT FROM kessai.reviews
                  WHERE reviews.endpoint = letter.endpoint AND reviews.event_id = letter.event_id
                    AND reviews.state = 'open')
  AND NOT EXISTS (SELECT FROM kessai.replay_items AS items
                  JOIN kessai.replays USING (replay_id)
                  WHERE items.receipt_id = letter.receipt_id AND replays.state IN {UNFINISHED}
                    AND items.outcome IS NULL)
"""

# Those that a person decides on at this moment are left for the next run.
DELETE_LETTER_BYTES = f"""
UPDATE kessai.dead_letters
SET raw = NULL, raw_deleted_at = now()
WHERE dead_letter_id IN (SELECT dead_letter_id
                         FROM kessai.dead_letters AS letter
                         WHERE {OLD_LETTER.format(before="$1")}
                         ORDER BY received_at
                         LIMIT $2
                         FOR UPDATE SKIP LOCKED)
"""


async def _delete_letter_bytes(connection: Connection, before: datetime, *, dry_run: bool) -> int:
    """How many closed dead letters lost their bytes, or would."""
    if dry_run:
        count: int = await connection.fetchval(
            f"SELECT count(*) FROM kessai.dead_letters AS letter WHERE {OLD_LETTER.format(before='$1')}", before
        )
        return count
    return await _in_batches(connection, DELETE_LETTER_BYTES, before)


async def _in_batches(connection: Connection, statement: str, *arguments: object) -> int:
    """Run `statement`, whose last parameter is the most rows of one run, until it affects fewer; rows in all."""
    total = 0
    while True:
        rows = affected(await connection.execute(statement, *arguments, ROWS_AT_ONCE))
        total += rows
        if rows < ROWS_AT_ONCE:
            return total


async def _claims_before(connection: Connection, before: datetime, *, without: list[str]) -> datetime:
    """The horizon never passes bytes that are kept, since they could be replayed."""
    oldest: datetime | None = await connection.fetchval(
        f"""
        SELECT least((SELECT min(begins) FROM ({MONTHS}) AS months WHERE name <> ALL ($1::text[])),
                     (SELECT min(received_at) FROM kessai.webhook_archive_default))
        """,
        without,
    )
    return before if oldest is None else min(before, oldest)


# What could still be replayed onto a claim keeps it. The months that are kept lie beyond the horizon altogether.
# A dry run has deleted no bytes yet: $2 is the time before which it would have; else it is null.
OLD_CLAIMS = f"""
SELECT endpoint, event_id
FROM kessai.webhook_events AS known
WHERE received_at < $1
  AND NOT EXISTS (SELECT FROM kessai.dead_letters AS letter
                  WHERE letter.endpoint = known.endpoint AND letter.event_id = known.event_id
                    AND letter.raw IS NOT NULL
                    AND NOT ($2::timestamptz IS NOT NULL AND {OLD_LETTER.format(before="$2")}))
  AND NOT EXISTS (SELECT FROM kessai.reviews
                  WHERE reviews.endpoint = known.endpoint AND reviews.event_id = known.event_id
                    AND reviews.state = 'open')
  AND NOT EXISTS (SELECT FROM kessai.replay_items AS items
                  JOIN kessai.replays USING (replay_id)
                  WHERE items.endpoint = known.endpoint AND items.event_id = known.event_id
                    AND replays.state IN {UNFINISHED})
ORDER BY received_at, receipt_id
LIMIT $3
"""

DELETE_CLAIMS = f"""
DELETE FROM kessai.webhook_events AS gone
USING ({OLD_CLAIMS}) AS old
WHERE gone.endpoint = old.endpoint AND gone.event_id = old.event_id
"""

DELETE_FACTS = """
DELETE FROM kessai.outbox
WHERE outbox_id IN (SELECT outbox_id
                    FROM kessai.outbox
                    WHERE published_at < $1 AND created_at < $1
                    ORDER BY outbox_id
                    LIMIT $2)
"""


async def _advance_horizon(connection: Connection, before: datetime, *, dry_run: bool) -> datetime:
    """Told before the first claim goes: whoever replays meanwhile is refused rather than believed."""
    farther = "greatest(claims_before, $1)"
    if dry_run:
        would_be: datetime = await connection.fetchval(f"SELECT {farther} FROM kessai.dedupe_horizon", before)
        return would_be
    told: datetime = await connection.fetchval(
        f"UPDATE kessai.dedupe_horizon SET claims_before = {farther} RETURNING claims_before", before
    )
    return told


async def _prune_claims(connection: Connection, horizon: datetime, *, raw_before: datetime, dry_run: bool) -> int:
    if dry_run:
        count: int = await connection.fetchval(f"SELECT count(*) FROM ({OLD_CLAIMS}) AS old", horizon, raw_before, None)
        return count
    return await _in_batches(connection, DELETE_CLAIMS, horizon, None)


async def _prune_facts(connection: Connection, before: datetime, *, dry_run: bool) -> int:
    """Facts that were told; the ones that still wait stay, however old."""
    if dry_run:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM kessai.outbox WHERE published_at < $1 AND created_at < $1", before
        )
        return count
    return await _in_batches(connection, DELETE_FACTS, before)
