"""Orders move by what statements say of their batch, whatever comes first, and tell of it once."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from shared.ledger.database import connected
from shared.ledger.timeline import timeline
from tests.given import NOW, settlement
from tests.integration.ledger.desk import Desk
from tests.integration.revenue.accounts import LATER, Accounts
from tests.statements import nameless, stated_batch, stated_usage


@pytest.mark.parametrize("status", ["settled", "uncollectible", "written_off"])
@pytest.mark.parametrize("first", ["usage", "batch", "webhook last"])
async def test_an_order_ends_as_its_batch(accounts: Accounts, status: str, first: str) -> None:
    row, batch = stated_usage(settlement_batch_id="batch-1"), stated_batch(status=status)
    if first == "webhook last":
        await accounts.sync([row], [batch])
        await accounts.fulfil("order-1")
        await accounts.sync([row], [batch])
    else:
        await accounts.fulfil("order-1")
        pages = [accounts.usage_page(row), accounts.batch_page(batch)]
        for page in pages if first == "usage" else reversed(pages):
            await page
        await accounts.settle()
    assert await accounts.state() == status
    assert (await accounts.books.moves())[-1] == ("order-1", "fulfilled_unsettled", status)
    assert [told for told in await accounts.books.told() if told[0] != "review.opened"] == [
        ("order.fulfilled_unsettled", "order-1"),
        (f"order.{status}", "order-1"),
    ]


async def test_what_became_of_it_is_told(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage(settlement_batch_id="batch-1")], [stated_batch()])
    fact = orjson.loads(await accounts.books.value("SELECT body FROM kessai.outbox WHERE name = 'order.settled'"))
    assert {name: fact[name] for name in ("chain_receipt_id", "settlement_batch_id", "provider_receivable_minor")} == {
        "chain_receipt_id": "chain-batch-1",
        "settlement_batch_id": "batch-1",
        "provider_receivable_minor": "198",
    }
    assert (fact["statement_currency"], fact["token_symbol"]) == ("JPY", "JPYC")
    assert (await accounts.books.order()).chain_receipt_id == "chain-batch-1"


async def test_the_story_of_an_order_ends_with_its_batch(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage(settlement_batch_id="batch-1")], [stated_batch()])
    async with connected(accounts.books.pool) as connection:
        steps = await timeline(connection, "order-1")
    move = next(step for step in reversed(steps) if step.what == "order.moved")
    assert (move.who, move.detail["to"], move.detail["settlement_batch_id"]) == (
        *("worker:reconcile", "settled", "batch-1"),
    )
    assert "order.settled" in [step.detail.get("fact") for step in steps]


async def test_a_webhook_of_the_batch_alone_moves_no_order(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.books.apply(settlement())
    await accounts.usage_page(stated_usage(settlement_batch_id="batch-1", status="settled"))
    assert (await accounts.settle(), await accounts.state()) == (0, "fulfilled_unsettled")


async def test_a_row_without_a_name_is_guessed_onto_no_order(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    compared = await accounts.sync([nameless(settlement_batch_id="batch-1")], [stated_batch()])
    assert (compared.paired, await accounts.state()) == (0, "fulfilled_unsettled")
    assert await accounts.books.value("SELECT paired_with FROM kessai.statement_usage") is None


async def test_a_statement_of_another_endpoint_moves_no_order(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.batch_page(stated_batch(), endpoint="other")
    await accounts.usage_page(stated_usage(settlement_batch_id="batch-1"), endpoint="other")
    assert (await accounts.settle(), await accounts.state()) == (0, "fulfilled_unsettled")


async def test_a_large_batch_is_told_in_parts(accounts: Accounts) -> None:
    names = [f"order-{n}" for n in range(25)]
    await accounts.fulfil(*names)
    await accounts.usage_page(*(stated_usage(name, settlement_batch_id="batch-1") for name in names))
    await accounts.batch_page(stated_batch(payments=25))
    assert await accounts.settle(limit=7) == 25
    assert await accounts.books.value("SELECT count(*) FROM kessai.statement_batches WHERE orders_due") == 0


async def test_pages_and_webhooks_may_meet(accounts: Accounts) -> None:
    """Whatever overtakes what, no order is forgotten."""
    names = [f"order-{n}" for n in range(40)]
    rows = [stated_usage(name, settlement_batch_id=f"batch-{place % 4}") for place, name in enumerate(names)]
    batches = [stated_batch(f"batch-{n}", payments=10) for n in range(4)]
    await asyncio.gather(
        *(accounts.fulfil(name) for name in names),
        *(accounts.usage_page(*rows[place : place + 10]) for place in range(0, 40, 10)),
        *(accounts.batch_page(batch) for batch in batches),
        *(accounts.settle() for _ in range(3)),
    )
    await accounts.sync(rows, batches)
    states = await accounts.books.rows("SELECT DISTINCT state FROM kessai.orders")
    assert [row["state"] for row in states] == ["settled"]
    assert await accounts.books.value("SELECT count(*) FROM kessai.outbox WHERE name = 'order.settled'") == 40


async def test_an_order_that_ended_otherwise_stays_and_becomes_a_review(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage(settlement_batch_id="batch-1")], [stated_batch(status="written_off")])
    assert await accounts.differences() == []
    await accounts.books.rows("UPDATE kessai.statement_usage SET settlement_batch_id = 'batch-2'")
    await accounts.sync([], [stated_batch(status="written_off"), stated_batch("batch-2")])
    assert await accounts.state() == "written_off"
    assert ("statement_conflict", "order:order-1") in await accounts.differences()


OTHERWISE: dict[str, dict[str, Any]] = {
    "amount": {"provider_gross_amount_minor": "100", "provider_receivable_minor": "98"},
    "currency": {"currency": "USD", "token_symbol": "USDC"},
    "band": {"plan_type": "nano"},
}
LAST = LATER + timedelta(hours=1)


@pytest.mark.parametrize("status", ["settled", "written_off"])
@pytest.mark.parametrize("what", OTHERWISE)
async def test_an_order_that_its_row_contradicts_ends_only_once_a_person_accepts_that(
    accounts: Accounts, what: str, status: str
) -> None:
    await accounts.fulfil("order-1")
    row, batch = stated_usage(settlement_batch_id="batch-1", **OTHERWISE[what]), stated_batch(status=status)
    await accounts.sync([row], [batch])
    assert await accounts.state() == "fulfilled_unsettled"
    assert ("statement_amount_mismatch", "usage:mu-order-1") in await accounts.differences()
    await accounts.sync([row], [batch], at=LAST)
    assert await accounts.state() == "fulfilled_unsettled"
    await accept(accounts, "statement_amount_mismatch")
    assert await accounts.state() == "fulfilled_unsettled"
    if what == "currency":  # it is not the one of its batch either
        await accounts.sync([row], [batch], at=LAST)
        assert await accounts.state() == "fulfilled_unsettled"
        await accept(accounts, "batch_rows_mismatch")
    await accounts.sync([row], [batch], at=LAST)
    assert await accounts.state() == status


async def test_a_row_of_another_token_than_its_batch_settles_its_order_only_once_that_is_accepted(
    accounts: Accounts,
) -> None:
    await accounts.fulfil("order-1")
    row = stated_usage(settlement_batch_id="batch-1", token_symbol="JPYX")
    await accounts.sync([row], [stated_batch()])
    assert await accounts.state() == "fulfilled_unsettled"
    await accept(accounts, "batch_rows_mismatch")
    await accounts.sync([row], [stated_batch()], at=LAST)
    assert await accounts.state() == "settled"


async def test_what_was_accepted_of_one_batch_is_not_of_another(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    row = stated_usage(settlement_batch_id="batch-1", token_symbol="JPYX")
    await accounts.sync([row], [stated_batch(status="ready")])
    await accept(accounts, "batch_rows_mismatch")
    moved = stated_usage(settlement_batch_id="batch-2", token_symbol="JPYX")
    await accounts.sync([moved], [stated_batch(status="ready"), stated_batch("batch-2")], at=LAST)
    assert await accounts.state() == "fulfilled_unsettled"
    assert ("batch_rows_mismatch", "usage:mu-order-1") in await accounts.differences()


@pytest.mark.parametrize("batch_at", [timedelta(days=390), timedelta(0)])
async def test_a_row_that_holds_its_order_back_has_a_review_however_old_it_is(
    accounts: Accounts, batch_at: timedelta
) -> None:
    """The statements are read for the first time, or the batch was past due for long."""
    await accounts.fulfil("order-1", "order-2")
    used, ended = NOW - timedelta(days=400), (NOW - batch_at).isoformat()
    of_old = {"settlement_batch_id": "batch-1", "created_at": used.isoformat()}
    rows = [stated_usage("order-1", **of_old, **OTHERWISE["amount"]), stated_usage("order-2", **of_old)]
    batch = stated_batch(payments=2, settled_at=ended, close_at=ended)
    for order_id in ("order-1", "order-2"):
        await accounts.used(order_id, at=used)
    await accounts.sync(rows, [batch])
    assert (await accounts.state("order-1"), await accounts.state("order-2")) == ("fulfilled_unsettled", "settled")
    await accept(accounts, "statement_amount_mismatch")
    await accounts.sync(rows, [batch], at=LAST)
    assert await accounts.state() == "settled"


async def test_a_fact_names_the_money_of_the_statement(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    row = stated_usage(settlement_batch_id="batch-1", **OTHERWISE["amount"] | OTHERWISE["currency"])
    batch = stated_batch(**OTHERWISE["currency"])
    await accounts.sync([row], [batch])
    await accept(accounts, "statement_amount_mismatch")
    await accounts.sync([row], [batch])
    fact = orjson.loads(await accounts.books.value("SELECT body FROM kessai.outbox WHERE name = 'order.settled'"))
    told = ("amount_minor", "currency", "provider_gross_amount_minor", "statement_currency", "token_symbol")
    assert [fact[name] for name in told] == [200, "JPY", "100", "USD", "USDC"]


async def test_an_order_whose_row_is_told_otherwise_later_waits_for_a_person(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    row = stated_usage(settlement_batch_id="batch-1")
    await accounts.sync([row], [stated_batch(status="ready")])
    await accounts.usage_page(stated_usage(settlement_batch_id="batch-1", protocol_fee_minor="3"), at=LAST)
    third = stated_usage(settlement_batch_id="batch-1", protocol_fee_minor="4")
    await accounts.sync([third], [stated_batch()], at=LAST + timedelta(hours=1))
    assert await accounts.state() == "fulfilled_unsettled"
    await accept(accounts, "statement_conflict")
    last = LAST + timedelta(hours=2)
    fourth = stated_usage(settlement_batch_id="batch-1", protocol_fee_minor="5")
    await accounts.sync([fourth], [stated_batch()], at=last)
    assert await accounts.state() == "fulfilled_unsettled", "what was accepted was another difference"
    await accounts.sync([row], [stated_batch()], at=last + timedelta(hours=1))
    assert await accounts.state() == "settled", "the platform came back to what it said first"


async def test_a_difference_once_accepted_is_good_for_its_order(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    row = stated_usage(settlement_batch_id="batch-1")
    await accounts.sync([row], [stated_batch(status="ready")])
    changed = stated_usage(settlement_batch_id="batch-1", protocol_fee_minor="3")
    await accounts.sync([changed], [stated_batch()], at=LAST)
    assert await accounts.state() == "fulfilled_unsettled"
    await accept(accounts, "statement_conflict")
    await accounts.sync([changed], [stated_batch()], at=LAST)
    assert await accounts.state() == "settled"


async def contradict(accounts: Accounts, *, at: datetime = LAST, **changed: Any) -> None:  # noqa: ANN401 - fields
    """Order 1, whose webhook comes after the platform has taken back what it said of the settled batch."""
    row = stated_usage(settlement_batch_id="batch-1")
    await accounts.sync([row], [stated_batch()])
    await accounts.sync([row], [stated_batch(**changed)], at=at)
    await accounts.fulfil("order-1")
    await accounts.sync([row], [stated_batch(**changed)], at=at + timedelta(hours=1))


@pytest.mark.parametrize("tell", [[], [settlement("evt-batch")]])
async def test_an_order_whose_batch_is_taken_back_ends_only_once_a_person_accepts_that(
    accounts: Accounts, tell: list[bytes]
) -> None:
    await accounts.books.apply(*tell)
    await contradict(accounts, status="failed")
    assert await accounts.state() == "fulfilled_unsettled"
    assert ("statement_conflict", "batch:batch-1") in await accounts.differences()
    assert "order.settled" not in [name for name, _ in await accounts.books.told()]
    await accept(accounts, "statement_conflict", of="batch")
    assert await accounts.settle() == 1
    assert await accounts.state() == "settled"


async def test_an_order_ends_when_the_platform_comes_back_to_what_it_said_of_the_batch(accounts: Accounts) -> None:
    await contradict(accounts, status="failed")
    await accounts.sync([stated_usage(settlement_batch_id="batch-1")], [stated_batch()], at=LAST + timedelta(hours=2))
    assert await accounts.state() == "settled"
    assert ("statement_conflict", "batch:batch-1") not in await accounts.differences()


async def test_what_was_accepted_of_a_batch_covers_nothing_that_the_platform_says_later(accounts: Accounts) -> None:
    await contradict(accounts, status="failed")
    await accept(accounts, "statement_conflict", of="batch")
    row, worse = stated_usage(settlement_batch_id="batch-1"), stated_batch(status="written_off")
    await accounts.batch_page(worse, at=LAST + timedelta(hours=2))
    assert await accounts.settle() == 0
    await accounts.sync([row], [worse], at=LAST + timedelta(hours=3))
    assert await accounts.state() == "fulfilled_unsettled"
    assert ("statement_conflict", "batch:batch-1") in await accounts.differences()
    await accept(accounts, "statement_conflict", of="batch")
    await accounts.settle()
    assert await accounts.state() == "settled", "what the books hold is final: a person accepts that they differ"


async def test_a_batch_that_holds_its_order_back_has_a_review_however_old_it_is(accounts: Accounts) -> None:
    """Its row has no date, so the row counts by when it was read."""
    ended = (NOW - timedelta(days=400)).isoformat()
    row = stated_usage(settlement_batch_id="batch-1", created_at=None, period_start=None)
    for place, status in enumerate(["settled", "failed"]):
        batch = stated_batch(status=status, chain_receipt_id="chain-batch-1", settled_at=ended, close_at=ended)
        await accounts.batch_page(batch, at=LATER + timedelta(minutes=place))
    await accounts.fulfil("order-1")
    await accounts.sync([row], [batch], at=LAST)
    assert await accounts.state() == "fulfilled_unsettled"
    assert ("statement_conflict", "batch:batch-1") in await accounts.differences()


async def test_orders_that_wait_for_a_person_hold_up_no_other(accounts: Accounts) -> None:
    names = [f"order-{n:02}" for n in range(12)]
    await accounts.fulfil(*names)
    rows = [
        stated_usage(name, settlement_batch_id="batch-1", **OTHERWISE["amount"] if place < 8 else {})
        for place, name in enumerate(names)
    ]
    await accounts.usage_page(*rows)
    await accounts.batch_page(stated_batch(payments=12))
    assert await accounts.settle(limit=3) == 4
    assert await accounts.books.value("SELECT count(*) FROM kessai.statement_batches WHERE orders_due") == 0


async def accept(accounts: Accounts, reason: str, *, of: str = "usage") -> None:
    """The open review of a row, or of a batch, for this reason."""
    review_id = await accounts.books.value(
        "SELECT review_id FROM kessai.reviews WHERE reason = $1 AND state = 'open' AND about LIKE $2 || ':%'",
        reason,
        of,
    )
    await Desk(accounts.books).resolve(review_id, "accept-difference")


async def test_a_webhook_that_comes_late_closes_no_review_of_another_order(accounts: Accounts) -> None:
    """While the orders of a batch are still to be told of its end, none is known to agree with it."""
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage(settlement_batch_id="batch-1")], [stated_batch(status="written_off")])
    await accounts.books.rows("UPDATE kessai.statement_usage SET settlement_batch_id = 'batch-2'")
    both = [stated_batch(status="written_off"), stated_batch("batch-2", payments=2)]
    row = stated_usage("order-2", settlement_batch_id="batch-2")
    await accounts.sync([row], both)
    assert ("webhook_missing", "usage:mu-order-2") in await accounts.differences()
    await accounts.fulfil("order-2")
    compared = await accounts.sync([row], both)
    assert (compared.paired, compared.closed) == (1, 1)
    assert ("statement_conflict", "order:order-1") in await accounts.differences()
