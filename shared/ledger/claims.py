"""What did an event come to whose review has ended? Written to the claim of its event id, which has one effect."""

from collections.abc import Mapping

from shared.ledger.books import Outcome
from shared.ledger.changes import Ruling
from shared.ledger.database import Connection
from shared.ledger.effects import NotLookedFor
from shared.ledger.transitions import ReviewReason


async def settle(connection: Connection, rulings: Mapping[int, Ruling]) -> None:
    """Write what the events of these reviews came to; the reviews are locked.

    An effect is written whichever bytes under the event id had it. Raises NotLookedFor when others had it before.
    """
    applied = {review_id: ruling for review_id, ruling in rulings.items() if ruling.outcome is Outcome.APPLIED}
    if applied and await connection.fetchval(APPLY, *_columns(applied)):
        raise NotLookedFor("an event of this work has had its effect by other bytes")
    await connection.execute(END, *_columns(rulings), [ruling.outcome for ruling in rulings.values()])


def _columns(rulings: Mapping[int, Ruling]) -> tuple[list[int], list[str | None], list[str | None]]:
    order_ids = [ruling.order.order_id if ruling.order else None for ruling in rulings.values()]
    return list(rulings), order_ids, [ruling.reason for ruling in rulings.values()]


# The row of the claim decides between two who have other bytes of one event in hand: the second waits for the first,
# and then finds the effect there.
APPLY = f"""
WITH ended AS (
    SELECT reviews.endpoint, reviews.event_id, reviews.body_digest, ended.order_id, ended.reason
    FROM unnest($1::bigint[], $2::text[], $3::text[]) AS ended (review_id, order_id, reason)
    JOIN kessai.reviews USING (review_id)
    WHERE reviews.event_id IS NOT NULL
    ORDER BY reviews.endpoint, reviews.event_id
), applied AS (
    UPDATE kessai.webhook_events AS claim
    SET outcome = 'applied', order_id = coalesce(ended.order_id, claim.order_id), applied_at = clock_timestamp(),
        reason = CASE WHEN claim.body_digest = ended.body_digest THEN ended.reason
                 ELSE '{ReviewReason.EVENT_ID_CONFLICT}' END
    FROM ended
    WHERE claim.endpoint = ended.endpoint AND claim.event_id = ended.event_id
      AND claim.outcome NOT IN ('applied', 'duplicate')
    RETURNING claim.event_id
)
SELECT (SELECT count(*) FROM ended) <> (SELECT count(*) FROM applied)
"""
# A claim of other bytes stays as it is, and so does one that is settled already.
END = """
UPDATE kessai.webhook_events AS claim
SET outcome = ended.outcome, reason = ended.reason, order_id = coalesce(ended.order_id, claim.order_id),
    applied_at = clock_timestamp()
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS ended (review_id, order_id, reason, outcome)
JOIN kessai.reviews USING (review_id)
WHERE claim.endpoint = reviews.endpoint AND claim.event_id = reviews.event_id
  AND claim.body_digest = reviews.body_digest AND claim.outcome = 'review'
"""
