"""Postgres ends where the rulings end: random histories, through the real transaction and through books in memory."""

from collections import Counter
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.ledger.incoming import Incoming
from tests.integration.ledger.books import TABLES, TestBooks
from tests.unit.ledger.model import ModelBooks
from tests.unit.ledger.test_rulings_in_any_batches import ORDERS, histories


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.booleans())
async def test_books_and_rulings_tell_the_same_story(
    books: TestBooks, history: tuple[list[Incoming], list[list[Incoming]]], reverse: bool
) -> None:
    _, batches = history
    await books.rows(f"TRUNCATE {', '.join(f'kessai.{table}' for table in TABLES)} RESTART IDENTITY")
    await books.register(*ORDERS)
    model = ModelBooks.of(ORDERS)
    for batch in batches:
        if reverse:
            batch.reverse()
        model.apply(batch)
        await books.apply(*batch)
    assert await read(books) == told_by(model)


def told_by(model: ModelBooks) -> dict[str, Any]:
    return {
        "orders": {
            o.order_id: (o.state, o.requirement_id, o.chain_receipt_id, o.paid_at) for o in model.orders.values()
        },
        "events": {
            event_id: (claim.outcome, model.reasons[endpoint, event_id], claim.digest)
            for (endpoint, event_id), claim in model.claims.items()
        },
        "batches": {b.settlement_batch_id: (b.chain_receipt_id, b.settled_at) for b in model.batches.values()},
        "reviews": Counter((*key[1:], order_id) for key, order_id in model.reviews.items()),
        "moves": sorted(model.moves),
        "told": [orjson.loads(fact.body) for fact in model.told],
    }


async def read(books: TestBooks) -> dict[str, Any]:
    orders = await books.rows("SELECT order_id, state, requirement_id, chain_receipt_id, paid_at FROM kessai.orders")
    events = await books.rows("SELECT event_id, outcome, reason, body_digest FROM kessai.webhook_events")
    batches = await books.rows(
        "SELECT settlement_batch_id, chain_receipt_id, settled_at FROM kessai.settlement_batches"
    )
    reviews = await books.rows("SELECT event_id, reason, body_digest, order_id FROM kessai.reviews")
    told = await books.rows("SELECT body FROM kessai.outbox ORDER BY outbox_id")
    return {
        "orders": {row["order_id"]: tuple(row)[1:] for row in orders},
        "events": {row["event_id"]: tuple(row)[1:] for row in events},
        "batches": {row["settlement_batch_id"]: tuple(row)[1:] for row in batches},
        "reviews": Counter(tuple(row) for row in reviews),
        "moves": sorted(await books.moves()),
        "told": [orjson.loads(row["body"]) for row in told],
    }
