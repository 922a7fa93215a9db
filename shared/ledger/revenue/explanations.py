"""Does anybody know of a difference already? By a review of its own, or by one of the webhook behind it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from shared.ledger.books import Row
from shared.ledger.database import Connection
from shared.ledger.decisions import Resolution
from shared.ledger.revenue.differences import Difference
from shared.ledger.transitions import ReviewReason


class Standing(StrEnum):
    UNEXPLAINED = "unexplained"
    IN_REVIEW = "in_review"
    ACCEPTED = "accepted"
    """A person has looked at it and closed its review, with a reason."""


class Explained(NamedTuple):
    difference: Difference
    standing: Standing
    review_id: int | None = None
    is_own: bool = False
    """Whether the review is about this very difference, rather than about the webhook behind it."""
    digest: bytes | None = None
    """Of the two sides as its own review has them."""


async def explain(connection: Connection, endpoint: str, differences: Sequence[Difference]) -> list[Explained]:
    """Each difference with what is known of it, in the same order.

    A webhook that waits for a person comes first: a review of the difference beside it would ask the same twice.
    """
    own = await _own_reviews(connection, endpoint, differences)
    of_webhooks = await _reviews_of_webhooks(connection, endpoint, differences)
    return [
        _by_waiting(each)
        or of_webhooks.get((each.reason, each.about))
        or _by_own(each, own)
        or Explained(each, Standing.UNEXPLAINED)
        for each in differences
    ]


def _by_waiting(difference: Difference) -> Explained | None:
    waiting = difference.waiting
    if waiting is None:
        return None
    return Explained(difference, Standing.IN_REVIEW if waiting.open.payments else Standing.ACCEPTED)


def _by_own(difference: Difference, own: dict[tuple[str, str], list[Row]]) -> Explained | None:
    for row in own.get((difference.reason, difference.about), []):
        if row["state"] == "open":
            return Explained(difference, Standing.IN_REVIEW, row["review_id"], is_own=True, digest=row["body_digest"])
        if row["body_digest"] == difference.digest:
            return Explained(difference, Standing.ACCEPTED, row["review_id"], is_own=True, digest=row["body_digest"])
    return None


async def _own_reviews(
    connection: Connection, endpoint: str, differences: Sequence[Difference]
) -> dict[tuple[str, str], list[Row]]:
    """By reason and thing: the open one first, then those that a person closed."""
    rows = await connection.fetch(
        """
        SELECT review_id, reason, about, state, body_digest
        FROM kessai.reviews
        WHERE endpoint = $1 AND about = ANY ($2::text[]) AND (state = 'open' OR resolution = $3)
        ORDER BY state = 'open' DESC, review_id
        """,
        endpoint,
        list({each.about for each in differences}),
        Resolution.ACCEPT_DIFFERENCE,
    )
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["reason"], row["about"]), []).append(row)
    return found


# Of usage by its challenge, which an index knows; of batches among what is open, which is little.
REVIEWS_OF_USAGE = """
SELECT review_id, state, challenge_hash,
       coalesce(evidence #>> '{event,requirement_id}', evidence #>> '{event,direct_payment_requirement_id}')
           AS requirement_id
FROM kessai.reviews
WHERE endpoint = $1 AND challenge_hash = ANY ($2::text[]) AND about IS NULL
  AND (state = 'open' OR resolution = 'reject')
ORDER BY state = 'open' DESC, review_id
"""
REVIEWS_OF_BATCHES = """
SELECT review_id, evidence #>> '{event,settlement_batch_id}' AS settlement_batch_id
FROM kessai.reviews
WHERE endpoint = $1 AND state = 'open' AND about IS NULL
  AND evidence #>> '{event,settlement_batch_id}' = ANY ($2::text[])
ORDER BY review_id DESC
"""


async def _reviews_of_webhooks(
    connection: Connection, endpoint: str, differences: Sequence[Difference]
) -> dict[tuple[str, str], Explained]:
    """By reason and thing, of what seems to have no webhook: it may have come and wait for a person."""
    missing = [each for each in differences if each.reason is ReviewReason.WEBHOOK_MISSING]
    if not missing:
        return {}
    hashes = list({each.challenge_hash for each in missing if each.challenge_hash})
    batch_ids = [each.about.removeprefix("batch:") for each in missing if each.about.startswith("batch:")]
    of_usage = await connection.fetch(REVIEWS_OF_USAGE, endpoint, hashes) if hashes else []
    of_batches = await connection.fetch(REVIEWS_OF_BATCHES, endpoint, batch_ids) if batch_ids else []
    batches = {f"batch:{row['settlement_batch_id']}": row["review_id"] for row in of_batches}
    found = {
        (str(each.reason), each.about): Explained(each, Standing.IN_REVIEW, batches[each.about])
        for each in missing
        if each.about in batches
    }
    by_hash: dict[str, list[Row]] = {}
    for each_row in of_usage:
        by_hash.setdefault(each_row["challenge_hash"], []).append(each_row)
    for each in missing:
        row = next((row for row in by_hash.get(each.challenge_hash or "", []) if _is_of(row, each)), None)
        if row is not None:
            standing = Standing.IN_REVIEW if row["state"] == "open" else Standing.ACCEPTED
            found[each.reason, each.about] = Explained(each, standing, row["review_id"])
    return found


def _is_of(row: Row, difference: Difference) -> bool:
    """The same payment, as far as both name it."""
    return None in (row["requirement_id"], difference.requirement_id) or (
        row["requirement_id"] == difference.requirement_id
    )
