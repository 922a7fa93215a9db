"""Where is the story of an order kept? Each table's rows of it, found by their keys or by their times."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from shared.ledger import audit, notes
from shared.ledger.audit import RecordedAct
from shared.ledger.books import Row
from shared.ledger.database import Connection
from shared.ledger.notes import Note, NoteThing
from shared.ledger.orders import OrderNotFound
from shared.ledger.reviews import subject

AT_MOST: Final = 200
"""Rows of a kind: an order that has more is no longer read by a person from end to end."""


class Window(NamedTuple):
    """A time in which something of the order was written, both ends included."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """What can be found by a key of the order."""

    order: Row
    challenges: Sequence[Row]
    attempts: Sequence[Row]
    reviews: Sequence[Row]
    events: Sequence[Row]
    dead_letters: Sequence[Row]
    replays: Sequence[Row]
    acts: Sequence[RecordedAct]
    notes: Sequence[Note]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found around the times of what is known."""

    moves: Sequence[Row]
    facts: Sequence[Row]


async def what_is_known(connection: Connection, order_id: str) -> Known:
    """Raises OrderNotFound."""
    order = await connection.fetchrow("SELECT * FROM kessai.orders WHERE order_id = $1", order_id)
    if order is None:
        raise OrderNotFound(order_id)
    challenges = await _challenges(connection, order_id)
    hashes = [row["challenge_hash"] for row in challenges]
    reviews = await _reviews(connection, order_id, hashes)
    events = await _events(connection, order_id, reviews)
    letters = await _letters(connection, hashes)
    review_ids = [row["review_id"] for row in reviews]
    return Known(
        order=order,
        challenges=challenges,
        attempts=await _attempts(connection, order_id),
        reviews=reviews,
        events=events,
        dead_letters=letters,
        replays=await _replays(connection, {(row["endpoint"], row["event_id"]) for row in [*events, *letters]}),
        acts=await audit.of_things(connection, [order_id, *map(subject, review_ids)], limit=AT_MOST),
        notes=[
            *await notes.of(connection, NoteThing.ORDER, order_id),
            *await notes.of(connection, NoteThing.REVIEW, *map(str, review_ids)),
        ],
    )


async def _challenges(connection: Connection, order_id: str) -> list[Row]:
    return await _rows(
        connection,
        """
        SELECT challenge_hash, created_at
        FROM kessai.challenges
        WHERE order_id = $1
        ORDER BY created_at
        """,
        order_id,
    )


async def _attempts(connection: Connection, order_id: str) -> list[Row]:
    return await _rows(
        connection,
        """
        SELECT attempt, nonce, state, begun_by, begun_at, opened_at, session_id, expires_at, ended_at, ended_because
        FROM kessai.checkout_attempts
        WHERE order_id = $1
        ORDER BY attempt
        """,
        order_id,
    )


async def _reviews(connection: Connection, order_id: str, hashes: Sequence[str]) -> list[Row]:
    """Of the order, or of its challenges from before an order was known to have them."""
    return await _rows(
        connection,
        """
        SELECT review_id, reason, endpoint, event_id, opened_at, closed_at, closed_by, resolution, why
        FROM kessai.reviews
        WHERE order_id = $1 OR challenge_hash = ANY ($2::text[])
        ORDER BY review_id
        """,
        order_id,
        hashes,
    )


async def _events(connection: Connection, order_id: str, reviews: Sequence[Row]) -> list[Row]:
    """Of the order, or of its reviews; with the key that vouched for each."""
    return await _rows(
        connection,
        """
        WITH of_order AS (
            SELECT * FROM kessai.webhook_events WHERE order_id = $1
            UNION
            SELECT webhook_events.*
            FROM unnest($2::text[], $3::text[]) AS given (endpoint, event_id)
            JOIN kessai.webhook_events USING (endpoint, event_id)
        )
        SELECT of_order.*, archived.key_fingerprint
        FROM of_order
        LEFT JOIN kessai.webhook_archive AS archived USING (receipt_id, received_at)
        ORDER BY received_at
        """,
        order_id,
        [row["endpoint"] for row in reviews],
        [row["event_id"] for row in reviews],
    )


async def _letters(connection: Connection, hashes: Sequence[str]) -> list[Row]:
    return await _rows(
        connection,
        """
        SELECT dead_letter_id, endpoint, event_id, reason, error, state, first_seen, closed_at
        FROM kessai.dead_letters
        WHERE challenge_hash = ANY ($1::text[])
        ORDER BY dead_letter_id
        """,
        hashes,
    )


async def _replays(connection: Connection, keys: Iterable[tuple[str, str | None]]) -> list[Row]:
    named = [(endpoint, event_id) for endpoint, event_id in keys if event_id is not None]
    return await _rows(
        connection,
        """
        SELECT replay_id, event_id, outcome, reason, settled_at, planned_by, planned_at, started_by, started_at, why
        FROM unnest($1::text[], $2::text[]) AS given (endpoint, event_id)
        JOIN kessai.replay_items USING (endpoint, event_id)
        JOIN kessai.replays USING (replay_id)
        ORDER BY replay_id, item
        """,
        [endpoint for endpoint, _ in named],
        [event_id for _, event_id in named],
    )


async def what_is_around(connection: Connection, known: Known, times: Sequence[Window]) -> Found:
    """What has no key of the order, at the times when it can have been written."""
    order_id = known.order["order_id"]
    return Found(
        moves=await _moves(connection, order_id, times),
        facts=await _facts(connection, [order_id, *(row["event_id"] for row in known.events)], times),
    )


async def _moves(connection: Connection, order_id: str, times: Sequence[Window]) -> list[Row]:
    return await _rows(
        connection,
        f"""
        SELECT at, actor, action, event_id, from_state, to_state, detail
        FROM kessai.audit
        WHERE ({_within("at", times, after=1)}) AND subject = $1 AND action IN ('order.moved', 'order.registered')
        """,
        order_id,
        *_ends(times),
    )


async def _facts(connection: Connection, subjects: Sequence[str], times: Sequence[Window]) -> list[Row]:
    return await _rows(
        connection,
        f"""
        SELECT name, subject, body, created_at, published_at
        FROM kessai.outbox
        WHERE ({_within("created_at", times, after=1)}) AND subject = ANY ($1::text[])
        """,
        subjects,
        *_ends(times),
    )


def _within(column: str, times: Sequence[Window], *, after: int) -> str:
    """One condition for all windows, so that a block which several of them need is read once."""
    return " OR ".join(
        f"{column} BETWEEN ${after + 1 + 2 * place} AND ${after + 2 + 2 * place}" for place in range(len(times))
    )


def _ends(times: Sequence[Window]) -> list[datetime]:
    return [end for window in times for end in window]


async def _rows(connection: Connection, query: str, *arguments: object) -> list[Row]:
    return list(await connection.fetch(f"{query} LIMIT {AT_MOST}", *arguments))
