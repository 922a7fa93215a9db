"""Statements: what buyers and providers see, page by page."""

import csv
import io
from decimal import Decimal

import pytest

from deploy.sandbox.core.batches import BatchStatus
from deploy.sandbox.core.faults import Fault, Setting
from deploy.sandbox.core.people import user_of
from deploy.sandbox.core.refusal import Refused
from deploy.sandbox.core.usage_csv import COLUMNS, usage_csv
from tests.unit.sandbox.given import OWNER, Town

ANN, BOB = user_of("ann"), user_of("bob")


@pytest.fixture
def town() -> Town:
    found = Town()
    for number in range(7):
        found.sell(100 + number, buyer="ann")
        found.sell(10 + number, "USD", buyer="bob")
    return found


def test_pages_hold_every_row_once_and_the_newest_first(town: Town) -> None:
    statements, seen, cursor = town.platform.statements, [], None
    while True:
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = statements.provider_usage(OWNER, query)
        assert len(page["items"]) <= 3
        seen += [row["metered_usage_id"] for row in page["items"]]
        town.sell(100, buyer="ann")
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"mu_t_{number}" for number in range(14, 0, -1)]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({"plan_type": "micro"}, 7),
        ({"token_symbol": "USDC"}, 7),
        ({"plan_type": "nano", "token_symbol": "JPYC"}, 0),
        ({"status": "pending_settlement"}, 14),
        ({"status": "settled"}, 0),
        ({"listing_id": "listing_sandbox_merchant"}, 14),
        ({"capability_key": "another"}, 0),
    ],
)
def test_filters(town: Town, query: dict[str, str], rows: int) -> None:
    assert len(town.platform.statements.provider_usage(OWNER, query)["items"]) == rows


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "many"},
        {"cursor": "nonsense"},
        {"cursor": "YmF0Y2g6MQ=="},
        {"plan_type": "standard"},
        {"token_symbol": "JPY"},
    ],
    ids=str,
)
def test_what_no_statement_knows_is_refused(town: Town, query: dict[str, str]) -> None:
    with pytest.raises(Refused):
        town.platform.statements.provider_usage(OWNER, query)


def test_a_buyer_sees_its_own_and_a_provider_sees_no_buyer(town: Town) -> None:
    statements = town.platform.statements
    assert len(statements.buyer_usage(ANN, {})["items"]) == 7
    assert not statements.provider_usage(ANN, {})["items"]
    shown = str(statements.provider_usage(OWNER, {})) + str(statements.provider_summary(OWNER, {}))
    town.wait(days=60)
    shown += str(statements.provider_batches(OWNER, {})) + str(statements.provider_summary(OWNER, {}))
    assert ANN not in shown
    assert BOB not in shown
    refs = {row["buyer_period_ref"] for row in statements.provider_batches(OWNER, {})["items"]}
    assert len(refs) == 2


def test_a_summary_keeps_settled_unsettled_past_due_and_lost_apart(town: Town) -> None:
    town.platform.faults.switch(Fault.SETTLEMENT_FAILS, Setting())
    town.wait(days=20)
    summary = town.platform.statements.provider_summary(OWNER, {"token_symbol": "JPYC"})
    gross, fee = sum(range(100, 107)), 7 * 2
    assert Decimal(summary["totals"]["past_due_provider_receivable_minor"]) == gross - fee
    assert summary["totals"]["unsettled_provider_receivable_minor"] == "0"
    (block,) = town.platform.statements.buyer_summary(ANN, {})["past_due_blocks"]
    assert block["failure_reason_code"] == "INSUFFICIENT_BALANCE"
    batch = next(each for each in town.batches if each.account.buyer == ANN)
    town.platform.settlement.give_up(batch.id, BatchStatus.WRITTEN_OFF)
    totals = town.platform.statements.provider_summary(OWNER, {"token_symbol": "JPYC"})["totals"]
    assert totals["terminal_provider_receivable_minor"] == totals["written_off_provider_receivable_minor"] == "707"
    assert totals["past_due_provider_receivable_minor"] == "0"


def test_an_open_period_is_expected_revenue(town: Town) -> None:
    summary = town.platform.statements.provider_summary(OWNER, {"token_symbol": "USDC"})
    (period,) = summary["open_periods"]
    assert period["provider_gross_amount_minor"] == period["buyer_debit_minor"] == "91"
    assert period["protocol_fee_minor"] == "0.7"
    assert summary["totals"]["unsettled_provider_receivable_minor"] == "90.3"


def test_the_csv_adds_up_to_its_batch(town: Town) -> None:
    town.wait(days=60)
    statements = town.platform.statements
    for batch in town.batches:
        rows = list(csv.DictReader(io.StringIO(usage_csv(statements.rows_of(batch)))))
        assert tuple(rows[0]) == COLUMNS
        assert sum(Decimal(row["provider_receivable_minor"]) for row in rows) == batch.receivable
        assert {row["settlement_batch_id"] for row in rows} == {batch.id}
        with pytest.raises(Refused):
            statements.provider_batch(ANN, batch.id, {})


def test_a_batch_is_there_for_what_its_usage_is_of_as_in_the_list(town: Town) -> None:
    town.wait(days=60)
    statements, batch = town.platform.statements, town.batches[0]
    for query, is_there in (
        ({"listing_id": "listing_sandbox_merchant"}, True),
        ({"listing_id": "another"}, False),
        ({"capability_key": "checkout"}, True),
        ({"listing_id": "listing_sandbox_merchant", "capability_key": "another"}, False),
    ):
        listed = [each["settlement_batch_id"] for each in statements.provider_batches(OWNER, query)["items"]]
        assert (batch.id in listed) is is_there
        if is_there:
            assert statements.provider_batch(OWNER, batch.id, query) == batch
        else:
            with pytest.raises(Refused, match=batch.id):
                statements.provider_batch(OWNER, batch.id, query)
