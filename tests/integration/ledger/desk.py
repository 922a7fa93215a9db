"""The review desk as tests use it: people with names, who decide on what the books hold."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from shared.ledger import orders, resolve, reviews
from shared.ledger.database import connected
from shared.ledger.decisions import Decision, Resolution
from shared.ledger.hosted_sessions import StatedSession
from shared.ledger.missed_webhooks import open_review
from shared.ledger.resolve import Resolved
from shared.ledger.reviews import RecordedReview, ReviewFilter
from tests.given import NOW
from tests.integration.ledger.books import TestBooks

ANN, BOB = "cli:ann", "cli:bob"


@dataclass
class Desk:
    books: TestBooks

    async def miss(self, session: StatedSession, *, order_id: str = "order-1") -> int:
        """Open the review of a paid session whose webhook is missing, as the sweep does."""
        async with connected(self.books.pool) as connection, connection.transaction():
            order = await orders.find(connection, order_id)
            await open_review(connection, order, session.challenge_hash, session, now=NOW)
        review_id: int = await self.books.value("SELECT max(review_id) FROM kessai.reviews")
        return review_id

    async def resolve(
        self,
        review_id: int,
        resolution: str,
        order_id: str | None = None,
        *,
        actor: str = ANN,
        accept_mismatch: bool = False,
        why: str = "told by the buyer",
        version: int | None = None,
        approvals: int = 1,
        now: datetime = NOW,
    ) -> Resolved:
        decision = Decision(Resolution(resolution), why, order_id, accept_mismatch)
        async with connected(self.books.pool) as connection:
            return await resolve.resolve(
                connection,
                review_id,
                decision,
                actor=actor,
                shops=self.books.shops,
                now=now,
                version=version,
                approvals=approvals,
            )

    async def approve(self, review_id: int, *, actor: str, version: int | None = None) -> Resolved:
        async with connected(self.books.pool) as connection:
            return await resolve.approve(
                connection, review_id, actor=actor, shops=self.books.shops, now=NOW, version=version
            )

    async def withdraw(self, review_id: int, *, actor: str = ANN, version: int | None = None) -> RecordedReview:
        async with connected(self.books.pool) as connection:
            return await resolve.withdraw(connection, review_id, actor=actor, version=version)

    async def claim(
        self, review_id: int, *, actor: str = ANN, take_over: bool = False, version: int | None = None
    ) -> RecordedReview:
        async with connected(self.books.pool) as connection:
            return await reviews.claim(connection, review_id, actor=actor, take_over=take_over, version=version)

    async def release(self, review_id: int, *, actor: str = ANN, version: int | None = None) -> RecordedReview:
        async with connected(self.books.pool) as connection:
            return await reviews.release(connection, review_id, actor=actor, version=version)

    async def review(self, review_id: int = 1) -> RecordedReview:
        async with connected(self.books.pool) as connection:
            return (await reviews.find(connection, review_id))[0]

    async def listed(self, limit: int = 50, before: int | None = None, **wanted: Any) -> list[int]:  # noqa: ANN401
        """Ids of the reviews that a filter finds."""
        async with connected(self.books.pool) as connection:
            found = await reviews.newest(connection, ReviewFilter(**wanted), limit=limit, before=before)
        return [review.review_id for review in found]

    async def last_act(self) -> tuple[str, str, str, dict[str, Any]]:
        """Actor, action, subject and detail of the newest row of the audit that is no move."""
        row = (
            await self.books.rows(
                "SELECT * FROM kessai.audit WHERE action <> 'order.moved' ORDER BY audit_id DESC LIMIT 1"
            )
        )[0]
        return row["actor"], row["action"], row["subject"], orjson.loads(row["detail"] or "{}")
