"""The books in memory: what Postgres would hold after each batch, so that rulings can be followed over many of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.ledger.books import Batch, Books, Claim, Order, Shop
from shared.ledger.changes import Changes
from shared.ledger.facts import OutboxFact
from shared.ledger.incoming import Incoming
from shared.ledger.orders import NewOrder
from shared.ledger.rulings import rule_batch
from shared.ledger.transitions import OrderState
from tests.given import ENDPOINT, NOW

METERED_SHOP = {ENDPOINT: Shop(merchant="tea_house", allow_metered_payments=True)}


@dataclass
class ModelBooks:
    shops: Mapping[str, Shop] = field(default_factory=lambda: METERED_SHOP)
    orders: dict[str, Order] = field(default_factory=dict)
    order_of_hash: dict[str, str] = field(default_factory=dict)
    claims: dict[tuple[str, str], Claim] = field(default_factory=dict)
    reasons: dict[tuple[str, str], str | None] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    reviews: dict[tuple[str, str, str, bytes], str | None] = field(default_factory=dict)
    """Order id of each review by (endpoint, event id, reason, digest): the books hold one of a kind."""
    spent: dict[tuple[str, str], str] = field(default_factory=dict)
    moves: list[tuple[str, OrderState, OrderState]] = field(default_factory=list)
    told: list[OutboxFact] = field(default_factory=list)

    @classmethod
    def of(cls, orders: Iterable[NewOrder], *, shops: Mapping[str, Shop] = METERED_SHOP) -> "ModelBooks":
        books = cls(shops=shops)
        for order in orders:
            books.orders[order.order_id] = Order.from_row(
                {
                    "order_id": order.order_id,
                    "endpoint": order.endpoint,
                    "amount_minor": order.amount_minor,
                    "currency": order.currency,
                    "state": "pending",
                    "requirement_id": None,
                    "chain_receipt_id": None,
                    "paid_at": None,
                }
            )
            books.order_of_hash[str(order.challenge_hash)] = order.order_id
        return books

    def apply(self, batch: Sequence[Incoming]) -> Changes:
        changes = rule_batch(batch, self._as_read(), self.shops, now=NOW)
        for key, row in changes.claims.items():
            self.claims[key] = Claim(row.incoming.envelope.receipt_id, row.incoming.digest, row.ruling.outcome)
            self.reasons[key] = row.ruling.reason
        for row in changes.moves:
            assert row.ruling.order is not None
            assert row.ruling.moved_from is not None
            self.moves.append((row.ruling.order.order_id, row.ruling.moved_from, row.ruling.order.state))
        self.orders |= changes.orders
        self.spent |= changes.spent
        self.batches |= {
            row.ruling.batch.settlement_batch_id: row.ruling.batch for row in changes.batches if row.ruling.batch
        }
        told_before = set()
        for review in changes.reviews:
            of_review = (*review.incoming.key, str(review.reason), review.incoming.digest)
            if of_review in self.reviews:
                told_before.add(id(review.told))
            else:
                self.reviews[of_review] = review.order.order_id if review.order else None
        self.told += [fact for fact in changes.told if id(fact) not in told_before]
        return changes

    def _as_read(self) -> Books:
        orders = {hash_: self.orders[order_id] for hash_, order_id in self.order_of_hash.items()}
        return Books(claims=self.claims, orders=orders, batches=self.batches, spent=self.spent)

    def story(self) -> tuple[object, ...]:
        """What a merchant would see: everything but the count of deliveries."""
        outcomes = {key: (claim.digest, claim.outcome, self.reasons[key]) for key, claim in self.claims.items()}
        return self.orders, outcomes, self.batches, self.reviews, self.moves, Counter(fact.body for fact in self.told)
