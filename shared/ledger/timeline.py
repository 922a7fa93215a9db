"""What happened to an order, from its registration to what the merchant's systems heard, in the order of time.

The outbox and the audit have no index by subject: of the millions of rows that pass through them nothing but this asks
for one thing's. A row of theirs carries the time of its transaction, and so do the rows of orders and reviews that
changed with it; the claim of an event is stamped a moment later, while that transaction still runs. So they are looked
for at those times, through indexes that know which blocks hold which times.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from shared.ledger import audit, notes
from shared.ledger.audit import RecordedAct
from shared.ledger.books import Row
from shared.ledger.database import Connection
from shared.ledger.notes import Note, NoteThing
from shared.ledger.orders import OrderNotFound
from shared.ledger.reviews import subject

AT_MOST: Final = 200
"""Rows of a kind: an order that has more is no longer read by a person from end to end."""
SPAN: Final = timedelta(seconds=15)
"""From the begin of a transaction to the stamp on its events, waits for locks included."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened."""

    at: datetime
    what: str
    """e.g. `webhook.received`, `order.moved`, `review.closed`."""
    who: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    after: float | None = None
    """Seconds since the step before; None of the first."""


class Window(NamedTuple):
    """A time in which something of the order was written, both ends included."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """What can be found by a key of the order."""

    order: Row
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


async def timeline(connection: Connection, order_id: str) -> list[Step]:
    """The story of an order as one snapshot of the books has it. Raises OrderNotFound."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("SET LOCAL enable_seqscan = off")  # no statistics yet is no reason to read it all
        known = await _known(connection, order_id)
        times = windows(known)
        found = Found(
            moves=await _moves(connection, order_id, times),
            facts=await _facts(connection, [order_id, *(row["event_id"] for row in known.events)], times),
        )
    return story(known, found)


def story(known: Known, found: Found) -> list[Step]:
    """Every step, the oldest first, each with the time since the one before."""
    steps = sorted(
        [
            *_registration(known, found),
            *_receipts(known.events),
            *_dead_letters(known.dead_letters),
            *_moved(found.moves),
            *_told(known, found.facts),
            *_reviewed(known.reviews),
            *_outcomes(known.events),
            *_handled_again(known.replays),
            *_acts(known.acts),
            *(Step(note.at, "note", note.author, {"note": note.body}) for note in known.notes),
        ],
        key=lambda step: step.at,  # at one time they stay as listed: causes before effects
    )
    before = [None, *(step.at for step in steps[:-1])]
    return [
        step if last is None else replace(step, after=(step.at - last).total_seconds())
        for step, last in zip(steps, before, strict=True)
    ]


def windows(known: Known) -> list[Window]:
    """The times at which moves and facts of the order can have been written; those that overlap become one."""
    order = known.order
    moments = {order["created_at"], order["updated_at"]}
    moments |= {row[name] for row in known.reviews for name in ("opened_at", "closed_at") if row[name] is not None}
    stamped = {row["applied_at"] for row in known.events if row["outcome"] in ("applied", "review")}
    merged: list[Window] = []
    for window in sorted([*(Window(at, at) for at in moments), *(Window(at - SPAN, at) for at in stamped)]):
        if merged and window.begin <= merged[-1].end:
            merged[-1] = Window(merged[-1].begin, max(merged[-1].end, window.end))
        else:
            merged.append(window)
    return merged


def _registration(known: Known, found: Found) -> Iterator[Step]:
    order = known.order
    who = next((row["actor"] for row in found.moves if row["action"] == "order.registered"), None)
    yield Step(
        order["created_at"],
        "order.registered",
        who,
        {name: order[name] for name in ("endpoint", "amount_minor", "currency")},
    )
    for attempt in known.attempts:
        yield Step(attempt["created_at"], "checkout.created", None, {"challenge_hash": attempt["challenge_hash"]})


def _receipts(events: Iterable[Row]) -> Iterator[Step]:
    names = ("endpoint", "event_id", "type", "occurred_at", "key_fingerprint", "deliveries")
    for event in events:
        yield Step(event["received_at"], "webhook.received", None, {name: event[name] for name in names})


def _outcomes(events: Iterable[Row]) -> Iterator[Step]:
    for event in events:
        yield Step(
            event["applied_at"],
            f"event.{event['outcome']}",
            None,
            {"event_id": event["event_id"], "kind": event["kind"], "reason": event["reason"]},
        )


def _dead_letters(letters: Iterable[Row]) -> Iterator[Step]:
    for letter in letters:
        detail = {name: letter[name] for name in ("dead_letter_id", "event_id", "reason", "error")}
        yield Step(letter["first_seen"], "dead_letter.kept", None, detail)
        if letter["closed_at"] is not None:
            yield Step(letter["closed_at"], f"dead_letter.{letter['state']}", None, detail)


def _moved(moves: Iterable[Row]) -> Iterator[Step]:
    for move in moves:
        if move["action"] == "order.moved":
            detail = {"from": move["from_state"], "to": move["to_state"], "event_id": move["event_id"]}
            yield Step(move["at"], "order.moved", move["actor"], detail)


def _told(known: Known, facts: Iterable[Row]) -> Iterator[Step]:
    """Facts of the order, and of its events from before the order was known."""
    keys = {(event["endpoint"], event["event_id"]) for event in known.events}
    for fact in facts:
        body = orjson.loads(fact["body"])
        if fact["subject"] != known.order["order_id"] and (body.get("endpoint"), body.get("event_id")) not in keys:
            continue
        detail = {"fact": fact["name"], "fact_id": body.get("fact_id")}
        yield Step(fact["created_at"], "fact.decided", None, detail)
        if fact["published_at"] is not None:
            yield Step(fact["published_at"], "fact.published", None, detail)


def _reviewed(reviews: Iterable[Row]) -> Iterator[Step]:
    for review in reviews:
        detail = {name: review[name] for name in ("review_id", "reason", "event_id")}
        yield Step(review["opened_at"], "review.opened", None, detail)
        if review["closed_at"] is not None:
            ended = detail | {name: review[name] for name in ("resolution", "why")}
            yield Step(review["closed_at"], "review.closed", review["closed_by"], ended)


def _handled_again(items: Iterable[Row]) -> Iterator[Step]:
    for item in items:
        detail = {"replay_id": item["replay_id"], "event_id": item["event_id"]}
        yield Step(item["planned_at"], "replay.planned", item["planned_by"], detail)
        if item["started_at"] is not None:
            yield Step(item["started_at"], "replay.started", item["started_by"], detail | {"why": item["why"]})
        if item["settled_at"] is not None:
            ended = {"outcome": item["outcome"], "reason": item["reason"]}
            yield Step(item["settled_at"], "replay.settled", None, detail | ended)


_TOLD_ELSEWHERE: Final = ("note.added", "order.cancelled", "review.resolved")
"""By the note, the move and the review themselves, as are closings by a registration or a link."""


def _acts(acts: Iterable[RecordedAct]) -> Iterator[Step]:
    for act in acts:
        if act.action not in _TOLD_ELSEWHERE and not act.action.startswith("review.closed_by"):
            yield Step(act.at, act.action, act.actor, {"subject": act.subject, **(act.detail or {})})


async def _known(connection: Connection, order_id: str) -> Known:
    order = await connection.fetchrow("SELECT * FROM kessai.orders WHERE order_id = $1", order_id)
    if order is None:
        raise OrderNotFound(order_id)
    attempts = await _attempts(connection, order_id)
    hashes = [row["challenge_hash"] for row in attempts]
    reviews = await _reviews(connection, order_id, hashes)
    events = await _events(connection, order_id, reviews)
    letters = await _letters(connection, hashes)
    review_ids = [row["review_id"] for row in reviews]
    return Known(
        order=order,
        attempts=attempts,
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


async def _attempts(connection: Connection, order_id: str) -> list[Row]:
    return await _rows(
        connection,
        """
        SELECT challenge_hash, created_at
        FROM kessai.checkout_attempts
        WHERE order_id = $1
        ORDER BY created_at
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


async def _moves(connection: Connection, order_id: str, times: Sequence[Window]) -> list[Row]:
    return await _rows(
        connection,
        f"""
        SELECT at, actor, action, event_id, from_state, to_state
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
