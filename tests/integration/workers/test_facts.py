"""What subscribers hear is what the schemas promise, and the example subscriber hears it."""

import asyncio
import sys
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from shared.broker.topology import ORDERS
from shared.ledger.database import connected
from shared.ledger.session_payments import put_session_payment
from shared.ledger.transitions import OrderState, ReviewQueue, ReviewReason
from tests.given import ABSENT, NOW, confirmation, new_order, payment, settlement, usage
from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.desk import Desk
from tests.integration.revenue.accounts import Accounts
from tests.integration.revenue.test_report import report
from tests.integration.workers.bench import Bench, until
from tests.programs import clean_environment
from tests.statements import stated_batch, stated_usage

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "workers/outbox/schemas"
SUBSCRIBER = ROOT / "deploy/examples/subscriber.py"


def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads((SCHEMAS / f"{name}.v1.json").read_bytes())
    return document


def problems(fact: dict[str, Any], *, of: str) -> list[str]:
    return [error.message for error in Draft202012Validator(schema(of)).iter_errors(fact)]


async def everything_that_can_be_told(books: TestBooks) -> list[dict[str, Any]]:
    await books.register(new_order("order-1"), new_order("order-2", 200), new_order("order-3"))
    await books.cancel("order-3")
    await books.apply(payment("evt-early", "order-4"))
    await books.register(new_order("order-4"))
    await books.apply(
        payment("evt-1"),
        usage("evt-2", "order-2"),
        settlement("evt-3"),
        settlement("evt-4", "batch-2", settled_at=None),
        payment("evt-5", "order-3"),
        payment("evt-6", "order-9"),
        confirmation("evt-7 \x1f " + "茶" * 200, {}, type_="order.shipped"),
        payment("evt-1", amount_minor=1),
    )
    ends = {"order-5": "settled", "order-6": "uncollectible", "order-7": "written_off"}
    accounts = Accounts(books)
    await accounts.fulfil(*ends)
    rows = [stated_usage(name, settlement_batch_id=f"batch-of-{name}") for name in (*ends, "order-8")]
    await accounts.sync(rows, [stated_batch(f"batch-of-{name}", end) for name, end in ends.items()])
    told = await books.rows("SELECT body FROM kessai.outbox")
    return [orjson.loads(row["body"]) for row in told]


async def test_every_fact_fits_its_schema(books: TestBooks) -> None:
    facts = await everything_that_can_be_told(books)
    assert [found for fact in facts if (found := problems(fact, of=fact["fact"]))] == []
    for time in (fact[name] for fact in facts for name in ("at", "settled_at") if fact.get(name)):
        assert datetime.fromisoformat(time).utcoffset() is not None
    assert {fact["fact"] for fact in facts} == {file.name.removesuffix(".v1.json") for file in SCHEMAS.iterdir()}
    assert len({fact["fact_id"] for fact in facts}) == len(facts)


async def test_a_schema_refuses_what_it_does_not_promise(books: TestBooks) -> None:
    for fact in await everything_that_can_be_told(books):
        assert problems(fact | {"surprise": 1}, of=fact["fact"])
        for field in fact:
            assert problems({name: value for name, value in fact.items() if name != field}, of=fact["fact"])


async def test_facts_of_paid_orders_add_up_to_the_report(books: TestBooks) -> None:
    """A payment may fit, a person may accept another amount or currency, and a webhook may never come."""
    accounts, desk = Accounts(books), Desk(books)
    await books.register(*(new_order(f"order-{number}") for number in range(1, 6)))
    await books.apply(
        payment("evt-1", "order-1"),
        payment("evt-2", "order-2", amount_minor="1000.5"),
        payment("evt-3", "order-3", amount_minor=900, currency="usd"),
        payment("evt-4", "order-4", amount_minor=ABSENT, currency=ABSENT),
    )
    for review_id in (1, 2):
        await desk.resolve(review_id, "accept-mismatch")
    pending = await books.order("order-5")
    paid = pending._replace(state=OrderState.PAID, requirement_id="req-order-5", chain_receipt_id="chain-order-5")
    async with connected(books.pool) as connection:
        await put_session_payment(connection, paid, pending.state, actor="worker:sweep", now=NOW)
    facts = [orjson.loads(row["body"]) for row in await books.rows("SELECT body FROM kessai.outbox")]
    told = [fact for fact in facts if fact["fact"] == "order.paid"]
    assert [found for fact in told if (found := problems(fact, of="order.paid"))] == []
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for fact in told:
        booked[fact["paid_currency"]] += Decimal(fact["paid_amount_minor"])
    counted = (await report(accounts)).currencies
    assert len(told) == 5
    assert booked == {"JPY": Decimal("4600.5"), "USD": 900}
    assert booked == {name: each.standard.gross for name, each in counted.items()}
    assert {(fact["amount_minor"], fact["currency"]) for fact in told} == {(1200, "JPY")}, "the price is there, too"


def test_every_schema_is_one() -> None:
    for file in SCHEMAS.iterdir():
        Draft202012Validator.check_schema(orjson.loads(file.read_bytes()))


def test_the_schema_of_reviews_knows_every_reason_and_desk() -> None:
    fields = schema("review.opened")["properties"]
    assert fields["reason"]["enum"] == [str(reason) for reason in ReviewReason]
    assert fields["queue"]["enum"] == [str(queue) for queue in ReviewQueue]


async def test_the_example_subscriber_hears_each_fact_once(bench: Bench) -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SUBSCRIBER)),
        env=clean_environment() | {"KESSAI_AMQP_URL": bench.amqp_url},
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdout is not None
    try:
        await until(lambda: _listens(bench))
        await bench.books.register(new_order("order-1"))
        await bench.books.apply(payment(), payment("evt-3", "order-9"))
        async with bench.running(bench.outbox()):
            assert await program.stdout.readline() == b"order.paid order-1 1200 JPY\n"
        fact = await bench.books.value("SELECT body FROM kessai.outbox WHERE name = 'order.paid'")
        for again in (fact.encode(), orjson.dumps(orjson.loads(fact) | {"fact_id": "other", "order_id": "order-3"})):
            await bench.publisher.publish(again, exchange=ORDERS, routing_key="order.paid")
        assert await program.stdout.readline() == b"order.paid order-3 1200 JPY\n"
    finally:
        program.terminate()
        await program.wait()


async def _listens(bench: Bench) -> bool:
    """Its queue is there and bound: a fact told now is routed to it."""
    channel = await bench.channel()
    try:
        answer = await channel.queue_declare("shop.orders", passive=True)
        return (answer.consumer_count or 0) == 1
    except Exception:
        return False
