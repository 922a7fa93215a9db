"""What would come of it? Runs the very handler of live events in a transaction that is rolled back."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from shared.broker.envelope import Envelope, Failure
from shared.ledger.apply import ACTOR
from shared.ledger.bisection import bisect
from shared.ledger.books import Batch, Books, Claim, Order, Outcome, Shop
from shared.ledger.changes import Changes, Ruling
from shared.ledger.database import Connection, Pool, UnacceptableRow, connected, retry_conflicts, run
from shared.ledger.incoming import Incoming, read
from shared.ledger.lookup import load_books
from shared.ledger.replays.items import ItemResult, Withheld, predict_items, take
from shared.ledger.rulings import rule_batch
from shared.ledger.write import write
from shared.sdrp.events import MalformedEvent

PAGE = 500
"""Events that one rolled-back transaction handles; their orders are locked as long as it takes."""
CONFLICT_TRIES = 5


@dataclass(slots=True)
class Foreseen:
    """What the earlier pages of a plan would have left in the books; the later ones are ruled on top of it."""

    claims: dict[tuple[str, str], Claim] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    spent: dict[tuple[str, str], str] = field(default_factory=dict)

    def onto(self, books: Books) -> Books:
        """What is not named here is as the books have it."""
        return replace(
            books,
            claims={**books.claims, **self.claims},
            orders={hash_: self.orders.get(order.order_id, order) for hash_, order in books.orders.items()},
            batches={**books.batches, **self.batches},
            spent={**books.spent, **self.spent},
        )

    def add(self, changes: Changes) -> None:
        for key, row in changes.claims.items():
            self.claims[key] = Claim(row.incoming.envelope.receipt_id, row.incoming.digest, row.ruling.outcome)
        self.orders |= changes.orders
        self.spent |= changes.spent
        for row in changes.batches:
            if row.ruling.batch is not None:
                self.batches[row.ruling.batch.settlement_batch_id] = row.ruling.batch


async def predict(
    pool: Pool, replay_id: int, shops: Mapping[str, Shop], *, rule_again: bool
) -> AsyncIterator[list[ItemResult]]:
    """Predict every item of a plan and write it down; yields each page's results as it is done."""
    foreseen = Foreseen()
    first = 1
    while True:
        async with connected(pool) as connection:
            page = await take(connection, replay_id, first=first, limit=PAGE, rule_again=rule_again)
        if not page:
            return
        results = await _predict_page(pool, page, replay_id, shops, foreseen)
        async with connected(pool) as connection:
            await predict_items(connection, replay_id, results)
        yield results
        first = page[-1][0] + 1


async def _predict_page(
    pool: Pool,
    page: Sequence[tuple[int, Envelope | Withheld]],
    replay_id: int,
    shops: Mapping[str, Shop],
    foreseen: Foreseen,
) -> list[ItemResult]:
    results = []
    readable = []
    for item, envelope in page:
        incoming = ItemResult(replay_id, item, *envelope) if isinstance(envelope, Withheld) else _read(envelope, shops)
        if isinstance(incoming, Incoming):
            readable.append(incoming)
        else:
            results.append(incoming)
    return results + await _predict_batch(pool, readable, shops, foreseen)


def _read(envelope: Envelope, shops: Mapping[str, Shop]) -> Incoming | ItemResult:
    """As a worker reads it: what it would give up at once is a dead letter again."""
    assert envelope.replay is not None  # noqa: S101 - `take` marks them all
    replay_id, item, _ = envelope.replay
    try:
        incoming = read(envelope)
    except MalformedEvent as error:
        return _dead(replay_id, item, Failure.of_malformed_event(error).reason)
    except Exception:
        return _dead(replay_id, item, "handler_error")
    return incoming if envelope.endpoint in shops else _dead(replay_id, item, "unknown_endpoint")


async def _predict_batch(
    pool: Pool, batch: Sequence[Incoming], shops: Mapping[str, Shop], foreseen: Foreseen
) -> list[ItemResult]:
    """Bisects the batch like the worker; what Postgres refuses would be a dead letter again."""
    results: list[ItemResult] = []

    async def predict_whole(part: Sequence[Incoming]) -> None:
        async def work(connection: Connection) -> Changes:
            return await _apply_and_roll_back(connection, part, shops, foreseen)

        changes = await retry_conflicts(lambda: run(pool, work), tries=CONFLICT_TRIES)
        foreseen.add(changes)
        results.extend(_result(mark.replay_id, mark.item, ruling) for mark, ruling in changes.replayed.items())

    for incoming, _ in await bisect(batch, predict_whole, is_of_item=lambda error: isinstance(error, UnacceptableRow)):
        mark = incoming.envelope.replay
        assert mark is not None  # noqa: S101 - `take` marks them all
        results.append(_dead(mark.replay_id, mark.item, "unacceptable_row"))
    return results


async def _apply_and_roll_back(
    connection: Connection, batch: Sequence[Incoming], shops: Mapping[str, Shop], foreseen: Foreseen
) -> Changes:
    now = datetime.now(UTC)
    transaction = connection.transaction()
    await transaction.start()
    try:
        changes = rule_batch(batch, foreseen.onto(await load_books(connection, batch)), shops, now=now)
        await write(connection, changes, actor=ACTOR, now=now)
    finally:
        await transaction.rollback()
    return changes


def _dead(replay_id: int, item: int, reason: str) -> ItemResult:
    return ItemResult(replay_id, item, Outcome.DEAD_LETTER, reason)


def _result(replay_id: int, item: int, ruling: Ruling) -> ItemResult:
    return ItemResult(replay_id, item, ruling.outcome, ruling.reason, _changes(ruling))


def _changes(ruling: Ruling) -> dict[str, Any]:
    """Before and after, as far as anything moves."""
    told: dict[str, Any] = {}
    if ruling.order is not None:
        told["order_id"] = ruling.order.order_id
    if ruling.order is not None and ruling.moved_from is not None:
        told |= {"from": ruling.moved_from, "to": ruling.order.state}
    if ruling.review is not None:
        told["review"] = ruling.review
    if ruling.batch is not None:
        told["batch"] = ruling.batch.settlement_batch_id
    return told
