"""A person takes the decision that the platform's evidence suggests: their decision from then on, under their name."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from shared.errors import KessaiError
from shared.ledger import reviews
from shared.ledger.books import Shop
from shared.ledger.database import Connection
from shared.ledger.resolve import Resolved, resolve
from shared.ledger.reviews import ReviewChanged
from shared.ledger.suggestions import Suggestion


class NothingSuggested(KessaiError):
    """The platform's evidence led to no decision, or to none yet."""

    def __init__(self, review_id: int) -> None:
        super().__init__(f"nothing is suggested for review {review_id}: decide it yourself")


async def follow(
    connection: Connection,
    review_id: int,
    *,
    actor: str,
    why: str | None = None,
    shops: Mapping[str, Shop],
    now: datetime,
    version: int | None = None,
    approvals: int = 1,
) -> Resolved:
    """Decide as suggested, for its reason or one of the person's own.

    Raises NothingSuggested, InvalidDecision and what `resolve` raises.
    """
    seen, _ = await reviews.find(connection, review_id)
    if version not in (None, seen.version):  # or another suggestion would be taken unseen
        raise ReviewChanged(review_id, f"is at version {seen.version}, not {version}")
    if seen.suggested is None:
        raise NothingSuggested(review_id)
    decision = Suggestion.kept(seen.suggested).decision
    if why is not None:
        decision = replace(decision, why=why)
    return await resolve(
        connection, review_id, decision, actor=actor, shops=shops, now=now, version=seen.version, approvals=approvals
    )
