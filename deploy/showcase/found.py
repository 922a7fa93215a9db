"""Reads from the books what became of a run, by the ids and bytes that the run sent."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from deploy.showcase.scene import Shop, fate
from deploy.showcase.scenes import REPEAT
from shared.ledger.database import Connection
from shared.ledger.transitions import OrderState, ReviewReason
from shared.sdrp.classify import StandardSettled, classify
from shared.sdrp.events import parse
from shared.sdrp.signature import SignatureRefused, verify

Fates = dict[str, Counter[str]]
"""By scene: how often each outcome occurred."""

EVENTS = """
SELECT split_part(event_id, '_', 3) AS scene, outcome, reason, sum(deliveries - 1) AS repeats, count(*) AS events
FROM kessai.webhook_events
WHERE received_at >= $1 AND event_id LIKE $2
GROUP BY scene, outcome, reason
"""
CONFLICTS = """
SELECT split_part(event_id, '_', 3) AS scene, count(*) AS reviews
FROM kessai.reviews
WHERE received_at >= $1 AND event_id LIKE $2 AND reason = $3
GROUP BY scene
"""
LETTERS = "SELECT raw, reason FROM kessai.dead_letters WHERE received_at >= $1"


async def fates_of(connection: Connection, run: str, since: datetime, bodies: Mapping[bytes, str]) -> Fates:
    """`bodies` names the scene of bytes that no event id can name."""
    found: Fates = {}
    mine = f"evt\\_{run}\\_%"
    for row in await connection.fetch(EVENTS, since, mine):
        if row["outcome"] != "dead_letter":  # counted by the dead letter, which holds the bytes
            scene = found.setdefault(row["scene"], Counter())
            scene[fate(row["outcome"], row["reason"])] += row["events"]
            scene[REPEAT] += int(row["repeats"])
    conflict = fate("review", ReviewReason.EVENT_ID_CONFLICT)
    for row in await connection.fetch(CONFLICTS, since, mine, ReviewReason.EVENT_ID_CONFLICT):
        scene = found.setdefault(row["scene"], Counter())
        scene[conflict] += row["reviews"]
        scene[REPEAT] -= row["reviews"]  # its delivery is counted with the event that stands
    for row in await connection.fetch(LETTERS, since):
        if row["raw"] in bodies:
            found.setdefault(bodies[row["raw"]], Counter())[fate("dead letter", row["reason"])] += 1
    return {scene: +fates for scene, fates in found.items()}


@dataclass(frozen=True, slots=True)
class Money:
    """The amounts of one currency, in minor units; a metered amount is no revenue before its batch settles."""

    currency: str
    orders: int
    paid: int
    """The sum of the paid orders."""
    archived: Decimal
    """The sum of the applied payments, read from their archived bytes."""
    unsettled: int
    """The sum of the fulfilled but unsettled orders."""

    @property
    def adds_up(self) -> bool:
        return self.paid == self.archived


ORDERS = """
SELECT currency, count(*) FILTER (WHERE state = $2) AS orders,
       coalesce(sum(amount_minor) FILTER (WHERE state = $2), 0)::bigint AS paid,
       coalesce(sum(amount_minor) FILTER (WHERE state = $3), 0)::bigint AS unsettled
FROM kessai.orders
WHERE order_id LIKE $1
GROUP BY currency
ORDER BY currency
"""
ARCHIVED = """
SELECT archived.raw, archived.signature, archived.endpoint, outcome
FROM kessai.webhook_archive AS archived
LEFT JOIN kessai.webhook_events AS events USING (receipt_id) -- conflicting bytes are archived without a claim
WHERE archived.received_at >= $1 AND archived.event_id LIKE $2
"""


@dataclass(frozen=True, slots=True)
class Proof:
    money: tuple[Money, ...]
    proved: int
    """Archived webhooks whose signature was verified again."""
    unproved: int
    waiting_facts: int
    """Facts that are not yet published."""
    published_facts: int


async def prove(connection: Connection, run: str, since: datetime, shops: Mapping[str, Shop]) -> Proof:
    amounts: dict[str, Decimal] = {}
    rows = await connection.fetch(ARCHIVED, since, f"evt\\_{run}\\_%")
    proved = [row for row in rows if _verifies(row["raw"], row["signature"], shops[row["endpoint"]])]
    for row in proved:
        confirmation = classify(parse(row["raw"])) if row["outcome"] == "applied" else None
        if isinstance(confirmation, StandardSettled) and isinstance(confirmation.amount, Decimal):
            currency = str(confirmation.currency)
            amounts[currency] = amounts.get(currency, Decimal(0)) + confirmation.amount
    waiting, published = await _facts(connection, run)
    return Proof(
        money=await _money(connection, run, amounts),
        proved=len(proved),
        unproved=len(rows) - len(proved),
        waiting_facts=waiting,
        published_facts=published,
    )


def _verifies(raw: bytes, signature: str, shop: Shop) -> bool:
    """Verify at the time of signing: an archived signature is old by now."""
    signed_at = re.match(r"t=([0-9]+)", signature)
    try:
        verify(raw, signature.encode(), secrets=[shop.secret], now=float(signed_at[1]) if signed_at else 0)
    except SignatureRefused:
        return False
    return True


async def _money(connection: Connection, run: str, amounts: Mapping[str, Decimal]) -> tuple[Money, ...]:
    rows = await connection.fetch(ORDERS, f"demo-{run}-%", OrderState.PAID, OrderState.FULFILLED_UNSETTLED)
    return tuple(Money(**dict(row), archived=amounts.get(row["currency"], Decimal(0))) for row in rows)


async def _facts(connection: Connection, run: str) -> tuple[int, int]:
    """Return the numbers of waiting and of published facts."""
    row = await connection.fetchrow(FACTS, f"%{run}%")
    assert row is not None  # noqa: S101 - an aggregate always has its row
    return row["waiting"], row["published"]


FACTS = """
SELECT count(*) FILTER (WHERE published_at IS NULL) AS waiting,
       count(*) FILTER (WHERE published_at IS NOT NULL) AS published
FROM kessai.outbox
WHERE subject LIKE $1
"""
