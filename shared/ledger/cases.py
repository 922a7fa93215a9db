"""What do the books hold of a review that a person decides on? Found and locked.

Locks are taken in the order of lookup.py, then the review: the order, the hash of the challenge, the review, the claim.
"""

from shared.ledger import archive, reviews
from shared.ledger.books import Order
from shared.ledger.database import Connection
from shared.ledger.decisions import Case, Decision, Resolution
from shared.ledger.incoming import Incoming
from shared.ledger.lookup import find_spent, has_effect, load_books, lock_hashes
from shared.ledger.missed_webhooks import case_of
from shared.ledger.orders import OrderNotFound
from shared.ledger.reviews import RecordedReview
from shared.ledger.transitions import OF_SESSIONS, ReviewReason


async def open_case(
    connection: Connection, review_id: int, decision: Decision, *, version: int | None
) -> tuple[RecordedReview, Case]:
    """The review and what the books hold of it, locked; to reject an event takes neither its bytes nor its order."""
    seen, evidence = await reviews.find(connection, review_id)
    if seen.reason in OF_SESSIONS:
        order = await _lock_order(connection, seen.order_id or "")
        review = await reviews.lock_open(connection, review_id, version=version)
        return review, await case_of(connection, review, evidence, order)
    incoming = None if decision.resolution is Resolution.REJECT else await archive.of_review(connection, seen)
    if incoming is None:
        review = await reviews.lock_open(connection, review_id, version=version)
        return review, Case(ReviewReason(review.reason), None, None, {})
    if decision.order_id is not None:
        order = await _lock_order(connection, decision.order_id)
        await _lock_hash(connection, incoming)
        review = await reviews.lock_open(connection, review_id, version=version)
        spent = await find_spent(connection, [incoming])
        return review, Case(
            *(ReviewReason(review.reason), incoming, order, {}),
            belongs_to=await _owner(connection, incoming),
            spent_on=spent.get(incoming.requirement) if incoming.requirement else None,
            has_effect=await has_effect(connection, incoming),
        )
    books = await load_books(connection, [incoming])
    review = await reviews.lock_open(connection, review_id, version=version)
    return review, Case(
        ReviewReason(review.reason),
        incoming,
        books.orders.get(incoming.challenge_hash) if incoming.challenge_hash else None,
        books.batches,
        spent_on=books.spent.get(incoming.requirement) if incoming.requirement else None,
        is_rejected=incoming.challenge_hash in books.rejected,
        has_effect=await has_effect(connection, incoming),
    )


async def _lock_order(connection: Connection, order_id: str) -> Order:
    """The order that the person named. Raises OrderNotFound."""
    row = await connection.fetchrow("SELECT * FROM kessai.orders WHERE order_id = $1 FOR UPDATE", order_id)
    if row is None:
        raise OrderNotFound(order_id)
    return Order.from_row(row)


async def _lock_hash(connection: Connection, incoming: Incoming) -> None:
    """The challenge that is to become the order's own, unless an order has it already.

    A worker that waited for the hash wants that order next: whoever held the order and wanted the hash as well would
    deadlock with it.
    """
    if incoming.challenge_hash is not None and await _owner(connection, incoming) is None:
        await lock_hashes(connection, [incoming.challenge_hash])


async def _owner(connection: Connection, incoming: Incoming) -> str | None:
    """The order that has the event's challenge; nobody else can take it while its hash is locked."""
    owner: str | None = await connection.fetchval(
        "SELECT order_id FROM kessai.challenges WHERE challenge_hash = $1", incoming.challenge_hash
    )
    return owner
