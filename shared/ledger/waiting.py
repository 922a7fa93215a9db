"""Payments that came before their order: ruled again once it is known, oldest first, and their reviews closed."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from shared.ledger import archive, audit, reviews
from shared.ledger.audit import Act
from shared.ledger.books import Order, Outcome
from shared.ledger.changes import Changes, Ruling
from shared.ledger.database import Connection
from shared.ledger.effects import write_effects
from shared.ledger.incoming import Incoming
from shared.ledger.lookup import find_spent
from shared.ledger.reviews import Ending
from shared.ledger.rulings import add_effects, rule_waiting, spent_by


class Became(StrEnum):
    """How the order of a challenge became known, as the closed review says it."""

    REGISTERED = "order_registered"
    LINKED = "order_linked"


_ACTIONS = {Became.REGISTERED: "review.closed_by_registration", Became.LINKED: "review.closed_by_link"}


class Waited(NamedTuple):
    """What became of the payments that had waited."""

    closed: int
    """Reviews, whatever their payments came to."""
    applied: int
    reviewed: int
    """Payments that do not fit their order: a new review says why."""


async def apply_waiting(
    connection: Connection, hashes: Sequence[str], became: Became, *, actor: str, now: datetime
) -> Waited:
    """Apply what waited for these challenges. Their orders and hashes are locked by the caller."""
    changes = Changes()
    ruled: list[tuple[Ending, Incoming]] = []
    waiting = await _lock_waiting(connection, hashes)
    spent = await find_spent(connection, [incoming for _, incoming, _ in waiting])
    applied: set[tuple[str, str]] = set()
    for review_id, incoming, order in waiting:
        if incoming.key in applied:  # other bytes under one event id: the event has one effect
            continue
        now_is = changes.orders.get(order.order_id, order)
        ruling = rule_waiting(incoming, now_is, spent_on=spent_by(incoming, spent, changes))
        add_effects(changes, incoming, ruling, now)
        if ruling.outcome is Outcome.APPLIED:
            applied.add(incoming.key)
        ruled.append((Ending(review_id, ruling), incoming))
    if ruled:
        await reviews.close(connection, [ending for ending, _ in ruled], by=actor, resolution=became)
        await write_effects(connection, changes, actor=actor)
        await audit.record_all(connection, [_closing(*each, became, actor) for each in ruled])
    return Waited(closed=len(ruled), applied=len(changes.moves), reviewed=len(changes.reviews))


async def _lock_waiting(connection: Connection, hashes: Sequence[str]) -> list[tuple[int, Incoming, Order]]:
    """Without the events that have had their effect by other bytes."""
    rows = await connection.fetch(
        """
        SELECT review_id, archived.*, orders.order_id, orders.endpoint AS order_endpoint, amount_minor, currency,
               orders.state, requirement_id, chain_receipt_id, paid_at
        FROM kessai.reviews
        JOIN kessai.webhook_archive AS archived USING (receipt_id, received_at)
        JOIN kessai.challenges USING (challenge_hash)
        JOIN kessai.orders ON orders.order_id = challenges.order_id
        WHERE reviews.state = 'open'
          AND reason IN ('unknown_challenge_hash', 'unknown_metered_challenge_hash')
          AND challenge_hash = ANY ($1::text[])
          AND NOT EXISTS (SELECT FROM kessai.webhook_events AS claim
                          WHERE claim.endpoint = reviews.endpoint AND claim.event_id = reviews.event_id
                            AND claim.outcome IN ('applied', 'duplicate'))
        ORDER BY received_at, review_id
        FOR UPDATE OF reviews
        """,
        hashes,
    )
    return [
        (
            row["review_id"],
            archive.from_row(row),
            Order.from_row({**dict(row), "endpoint": row["order_endpoint"]}),
        )
        for row in rows
    ]


def _closing(ending: Ending, incoming: Incoming, became: Became, actor: str) -> Act:
    ruling: Ruling = ending.ruling
    endpoint, event_id = incoming.key
    return Act(
        actor=actor,
        action=_ACTIONS[became],
        subject=reviews.subject(ending.review_id),
        endpoint=endpoint,
        event_id=event_id,
        detail={
            "order": ruling.order.order_id if ruling.order else None,
            "outcome": ruling.outcome,
            "reason": ruling.reason,
        },
    )
