"""Which rows does a batch of events touch? Found and locked, each table once.

Locks are taken in one order everywhere (orders by id, then waiting hashes, then reviews, then claims by key), so that
batches of several workers wait for each other instead of deadlocking.
"""

from collections.abc import Sequence

from shared.ledger.books import Batch, Books, Claim, OpenReview, Order, Outcome, ReviewKey, Row
from shared.ledger.columns import given, pack
from shared.ledger.database import Connection
from shared.ledger.incoming import Incoming


async def load_books(connection: Connection, batch: Sequence[Incoming], *, thorough: bool = True) -> Books:
    """The rows that these events touch; the orders stay locked until the transaction ends.

    What hardly ever is there, requirements that paid another order and reviews that were decided, is looked for by a
    `thorough` look alone; else it shows itself as the rulings are written, by NotLookedFor.
    """
    keys = sorted({incoming.key for incoming in batch})
    hashes = sorted({hash_ for incoming in batch if (hash_ := incoming.challenge_hash)})
    batch_ids = sorted({id_ for incoming in batch if (id_ := incoming.settlement_batch_id)})
    again = [incoming.key for incoming in batch if incoming.envelope.replay and incoming.envelope.replay.rule_again]
    rows = await lock_orders(connection, hashes)
    if len(rows) < len(hashes):
        known = {row["challenge_hash"] for row in rows}
        unknown = [hash_ for hash_ in hashes if hash_ not in known]
        await lock_hashes(connection, unknown)
        rows = [*rows, *await lock_orders_at_once(connection, unknown)]
    return Books(
        claims=await find_claims(connection, keys),
        orders={row["challenge_hash"]: Order.from_row(row) for row in rows},
        rejected=frozenset(row["challenge_hash"] for row in rows if row["is_rejected"]),
        batches=await find_batches(connection, batch_ids) if batch_ids else {},
        reviews=await lock_reviews(connection, again) if again else {},
        spent=await find_spent(connection, batch) if thorough else {},
        decided=await find_decided(connection, keys) if thorough else frozenset(),
    )


# Postgres waits for a lock and then reads the locked row again, but no other: of the challenges it may return only what
# never changes.
LOCK_ORDERS = f"""
SELECT challenge_hash, orders.order_id, endpoint, amount_minor, currency, state,
       requirement_id, chain_receipt_id, paid_at,
       coalesce(challenge_hash = ANY (rejected_challenges), false) AS is_rejected
FROM {given(challenge_hash="text")}
JOIN kessai.challenges USING (challenge_hash)
JOIN kessai.orders USING (order_id)
ORDER BY orders.order_id
FOR UPDATE OF orders
"""


async def lock_orders(connection: Connection, hashes: Sequence[str]) -> Sequence[Row]:
    """The orders that these challenge hashes pay, a row a hash."""
    return await connection.fetch(LOCK_ORDERS, *pack(hashes)) if hashes else []


async def lock_orders_at_once(connection: Connection, hashes: Sequence[str]) -> Sequence[Row]:
    """The same where other orders are locked already: out of order, so nobody is waited for.

    Raises LockNotAvailableError when one of them is held: whoever starts anew then locks all of them in order.
    """
    return await connection.fetch(f"{LOCK_ORDERS} NOWAIT", *pack(hashes))


# A payment may meet the registration of its order: both take this lock first, so that one of them sees the other.
# 1024 locks serve all hashes; two hashes that share one merely wait a moment longer.
LOCK_HASHES = f"""
SELECT pg_advisory_xact_lock(1801810803, slot)
FROM (SELECT DISTINCT hashtext(hash) & 1023 AS slot FROM {given(hash="text")} ORDER BY slot) AS slots
"""


async def lock_hashes(connection: Connection, hashes: Sequence[str]) -> None:
    """Hold back every other transaction that registers or misses one of these challenge hashes."""
    if hashes:
        await connection.execute(LOCK_HASHES, *pack(hashes))


FIND_CLAIMS = f"""
SELECT endpoint, event_id, receipt_id, body_digest, outcome
FROM {given(endpoint="text", event_id="text")}
JOIN kessai.webhook_events USING (endpoint, event_id)
"""


async def find_claims(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Claim]:
    rows = await connection.fetch(FIND_CLAIMS, *pack([key[0] for key in keys], [key[1] for key in keys]))
    return {
        (row["endpoint"], row["event_id"]): Claim(row["receipt_id"], row["body_digest"], Outcome(row["outcome"]))
        for row in rows
    }


async def has_effect(connection: Connection, incoming: Incoming) -> bool:
    """Whether an event whose review is open has had its effect: by other bytes under its id, since its own wait."""
    claims = await find_claims(connection, [incoming.key])
    return any(claim.has_effect for claim in claims.values())


FIND_BATCHES = """
SELECT settlement_batch_id, pricing_band, chain_receipt_id, usage_event_digest, settled_at
FROM kessai.settlement_batches
WHERE settlement_batch_id = ANY ($1::text[])
"""


async def find_batches(connection: Connection, batch_ids: Sequence[str]) -> dict[str, Batch]:
    rows = await connection.fetch(FIND_BATCHES, batch_ids)
    return {row["settlement_batch_id"]: Batch(**row) for row in rows}


FIND_SPENT = f"""
SELECT endpoint, requirement_id, subject AS order_id
FROM {given(endpoint="text", requirement_id="text")}
JOIN kessai.audit USING (endpoint, requirement_id)
"""


async def find_spent(connection: Connection, batch: Sequence[Incoming]) -> dict[tuple[str, str], str]:
    """The order that the requirement of each of these payments has paid already."""
    requirements = sorted({requirement for incoming in batch if (requirement := incoming.requirement)})
    if not requirements:
        return {}
    rows = await connection.fetch(FIND_SPENT, *pack([key[0] for key in requirements], [key[1] for key in requirements]))
    return {(row["endpoint"], row["requirement_id"]): row["order_id"] for row in rows}


FIND_DECIDED = """
SELECT endpoint, event_id, reason, body_digest
FROM unnest($1::text[], $2::text[]) AS given (endpoint, event_id)
JOIN kessai.reviews USING (endpoint, event_id)
WHERE state = 'closed'
"""


async def find_decided(connection: Connection, keys: Sequence[tuple[str, str]]) -> frozenset[ReviewKey]:
    """The closed reviews of these events."""
    rows = await connection.fetch(FIND_DECIDED, [key[0] for key in keys], [key[1] for key in keys])
    return frozenset((row["endpoint"], row["event_id"], row["reason"], row["body_digest"]) for row in rows)


LOCK_REVIEWS = """
SELECT endpoint, event_id, review_id,
       ARRAY(SELECT known.reason
             FROM kessai.reviews AS known
             WHERE known.endpoint = reviews.endpoint AND known.event_id = reviews.event_id
               AND known.body_digest = reviews.body_digest) AS known
FROM unnest($1::text[], $2::text[]) AS given (endpoint, event_id)
JOIN kessai.reviews USING (endpoint, event_id)
WHERE state = 'open' AND reason <> 'event_id_conflict' AND assignee IS NULL AND proposed IS NULL
ORDER BY review_id
FOR UPDATE OF reviews
"""


async def lock_reviews(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], OpenReview]:
    """What these events wait in, unless a person holds it; a conflict is about other bytes than the claim's."""
    rows = await connection.fetch(LOCK_REVIEWS, [key[0] for key in keys], [key[1] for key in keys])
    return {(row["endpoint"], row["event_id"]): OpenReview(row["review_id"], frozenset(row["known"])) for row in rows}
