"""Pages of statements become rows of the books, once; what is final stays, and a sync goes on where it was left."""

from datetime import timedelta

import orjson

from shared.ledger.revenue.statements import Applied
from shared.ledger.revenue.syncs import List
from tests.integration.revenue.accounts import LATER, Accounts
from tests.statements import nameless, stated_batch, stated_usage


async def test_a_page_that_repeats_changes_nothing(accounts: Accounts) -> None:
    await accounts.fulfil("order-1", "order-2")
    for what in List:
        await accounts.resume(what)
    rows = [stated_usage("order-1", settlement_batch_id="batch-1"), stated_usage("order-2"), nameless("order-3")]
    assert await accounts.batch_page(stated_batch()) == Applied(new=1, changed=0, same=0, is_next=True)
    assert await accounts.usage_page(*rows) == Applied(new=3, changed=0, same=0, is_next=True)
    assert await accounts.settle() == 1
    before = await accounts.everything()
    assert await accounts.usage_page(*rows) == Applied(new=0, changed=0, same=3, is_next=False)
    assert await accounts.usage_page(*rows, cursor="more", at=LATER + timedelta(1)) == Applied(0, 0, 3, is_next=True)
    assert await accounts.batch_page(stated_batch()) == Applied(new=0, changed=0, same=1, is_next=False)
    assert await accounts.settle() == 0
    assert await accounts.everything() == before


async def test_every_field_is_kept_as_stated(accounts: Accounts) -> None:
    await accounts.usage_page(
        nameless(
            plan_type="nano", settlement_cadence="monthly", currency="USD", token_symbol="USDC",
            provider_gross_amount_minor="12.3456", protocol_fee_minor="0.1", provider_receivable_minor="12.2456",
            rounding_delta_minor="0.6544",
        )
    )  # fmt: skip
    row = await accounts.books.row("SELECT * FROM kessai.statement_usage")
    assert [str(row[name]) for name in ("provider_gross_amount_minor", "rounding_delta_minor")] == ["12.3456", "0.6544"]
    assert (row["plan_type"], row["currency"], row["token_symbol"], row["paired_with"]) == ("nano", "USD", "USDC", None)
    failed = stated_batch(status="past_due", failure_reason_code="INSUFFICIENT_BALANCE", support_reference="sup-1")
    await accounts.batch_page(failed)
    batch = await accounts.books.row("SELECT * FROM kessai.statement_batches")
    assert (batch["money"], batch["failure_reason_code"], batch["support_reference"]) == (
        *("past_due", "INSUFFICIENT_BALANCE", "sup-1"),
    )


async def test_a_sync_goes_on_at_its_cursor(accounts: Accounts) -> None:
    begun = await accounts.resume(List.USAGE)
    assert (begun.cursor, begun.begun_at, begun.complete_as_of) == (None, LATER, None)
    await accounts.usage_page(stated_usage("order-1"), then="page-2")
    later = LATER + timedelta(minutes=5)
    assert (await accounts.resume(List.USAGE, at=later)).cursor == "page-2"
    assert not (await accounts.usage_page(stated_usage("order-1"), then="page-2")).is_next
    assert (await accounts.usage_page(stated_usage("order-2"), cursor="page-2", then=None, at=later)).is_next
    again = await accounts.resume(List.USAGE, at=later)
    assert (again.cursor, again.begun_at, again.complete_as_of) == (None, later, LATER)


async def test_a_final_batch_stays_what_it_is(accounts: Accounts) -> None:
    await accounts.batch_page(stated_batch())
    await accounts.batch_page(stated_batch(status="retrying"), at=LATER + timedelta(1))
    row = await accounts.books.row("SELECT * FROM kessai.statement_batches")
    assert (row["money"], row["status"], orjson.loads(row["disputed"])) == (
        *("settled", "settled", {"status": "retrying"}),
    )
    await accounts.batch_page(stated_batch(), at=LATER + timedelta(2))
    assert await accounts.books.value("SELECT disputed FROM kessai.statement_batches") is None


async def test_an_older_page_does_not_undo_a_newer_one(accounts: Accounts) -> None:
    await accounts.batch_page(stated_batch(status="retrying"))
    await accounts.batch_page(stated_batch(status="ready"), at=LATER - timedelta(1))
    assert await accounts.books.value("SELECT status FROM kessai.statement_batches") == "retrying"
    await accounts.batch_page(stated_batch(status="settled"), at=LATER - timedelta(1))
    row = await accounts.books.row("SELECT status, disputed FROM kessai.statement_batches")
    assert (row["status"], orjson.loads(row["disputed"])) == ("settled", {"status": "retrying"})


async def test_settled_without_a_receipt_is_not_settled(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.usage_page(stated_usage(settlement_batch_id="batch-1"))
    await accounts.batch_page(stated_batch(chain_receipt_id=None))
    assert (await accounts.settle(), await accounts.state()) == (0, "fulfilled_unsettled")
    await accounts.batch_page(stated_batch(), at=LATER + timedelta(1))
    assert (await accounts.settle(), await accounts.state()) == (1, "settled")


async def test_what_was_paid_never_changes(accounts: Accounts) -> None:
    await accounts.usage_page(stated_usage())
    await accounts.usage_page(stated_usage(provider_gross_amount_minor="300"), at=LATER + timedelta(1))
    row = await accounts.books.row("SELECT provider_gross_amount_minor, disputed FROM kessai.statement_usage")
    assert (str(row[0]), orjson.loads(row[1])) == ("200", {"provider_gross_amount_minor": "300"})


async def test_links_that_a_platform_begins_to_state_are_taken(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.usage_page(nameless())
    assert await accounts.books.value("SELECT paired_with FROM kessai.statement_usage") is None
    await accounts.usage_page(stated_usage(requirement_id=None), at=LATER + timedelta(1))
    assert await accounts.books.value("SELECT paired_with FROM kessai.statement_usage") == "req-order-1"
