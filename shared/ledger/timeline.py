"""What happened to an order, from its registration to what the merchant's systems heard, in the order of time.

The outbox and the audit have no index by subject: of the millions of rows that pass through them nothing but this asks
for one thing's. A row of theirs carries the time of its transaction, and so do the rows of orders and reviews that
changed with it; the claim of an event is stamped a moment later, while that transaction still runs. So they are looked
for at those times, through indexes that know which blocks hold which times.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from shared.ledger.audit import RecordedAct
from shared.ledger.books import Row
from shared.ledger.database import Connection
from shared.ledger.orders import CHANGED
from shared.ledger.timeline_rows import Found, Known, Window, what_is_around, what_is_known

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


async def timeline(connection: Connection, order_id: str) -> list[Step]:
    """The story of an order as one snapshot of the books has it. Raises OrderNotFound."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("SET LOCAL enable_seqscan = off")  # no statistics yet is no reason to read it all
        known = await what_is_known(connection, order_id)
        found = await what_is_around(connection, known, windows(known))
    return story(known, found)


def story(known: Known, found: Found) -> list[Step]:
    """Every step, the oldest first, each with the time since the one before."""
    steps = sorted(
        [
            *_registration(known, found),
            *_attempts(known.attempts),
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
    detail = {name: order[name] for name in ("endpoint", "amount_minor", "currency")}
    changes = [act.detail or {} for act in known.acts if act.action == CHANGED]
    if changes:  # the oldest is the last
        detail |= {name: changes[-1][f"old_{name}"] for name in ("amount_minor", "currency")}
    yield Step(order["created_at"], "order.registered", who, detail)
    for challenge in known.challenges:
        yield Step(challenge["created_at"], "checkout.created", None, {"challenge_hash": challenge["challenge_hash"]})


def _attempts(attempts: Iterable[Row]) -> Iterator[Step]:
    for attempt in attempts:
        detail = {name: attempt[name] for name in ("attempt", "nonce", "session_id")}
        yield Step(attempt["begun_at"], "checkout.begun", attempt["begun_by"], detail)
        if attempt["opened_at"] is not None:
            yield Step(attempt["opened_at"], "checkout.opened", None, detail | {"expires_at": attempt["expires_at"]})
        if attempt["ended_at"] is not None:
            ended = {"ended": attempt["state"], "because": attempt["ended_because"]}
            yield Step(attempt["ended_at"], "checkout.ended", None, detail | ended)


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
            settled_in = orjson.loads(move["detail"] or "{}")
            yield Step(move["at"], "order.moved", move["actor"], detail | settled_in)


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
