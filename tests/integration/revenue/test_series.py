"""The course over time adds up to the report, whatever its steps are."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from shared.ledger.database import connected
from shared.ledger.revenue.money import Money, total
from shared.ledger.revenue.periods import Period
from shared.ledger.revenue.series import KINDS, STANDARD, Course, Window, course
from tests.integration.revenue.accounts import Accounts
from tests.integration.revenue.test_report import dollars, one_of_each, report
from tests.statements import stated_batch


async def over(accounts: Accounts, window: Window | None, endpoint: str | None = None) -> Course:
    assert window is not None
    async with connected(accounts.books.pool) as connection:
        return await course(connection, window, endpoint=endpoint)


@pytest.mark.parametrize("period", ["2026-11", "2026-W47", "2026-11-20", "2026", "2026-11-20T11:59:58..2026-11-20T12"])
async def test_it_adds_up_to_the_report(accounts: Accounts, period: str) -> None:
    await one_of_each(accounts)
    whole, found = await over(accounts, Window.of(Period.parse(period))), await report(accounts, period)
    assert whole.keys() == found.currencies.keys()
    for name, currency in found.currencies.items():
        assert sum(whole[name][STANDARD]) == currency.standard.gross
        for kind in Money:
            assert sum(whole[name][kind]) == total(band.kinds[kind] for band in currency.bands.values()).gross


async def test_a_row_of_another_currency_than_its_batch_is_not_drawn_as_settled(accounts: Accounts) -> None:
    row = dollars("order-1", settlement_batch_id="batch-1")
    await accounts.sync([row], [stated_batch()])
    found = await over(accounts, Window.of(Period.parse("2026-11")))
    assert (sum(found["USD"]["settled"]), sum(found["USD"]["unsettled"])) == (0, 200)


async def test_each_step_has_its_own_and_twelve_months_end_with_the_period(accounts: Accounts) -> None:
    await one_of_each(accounts)
    window = Window.year_to(datetime(2026, 12, 1, tzinfo=UTC))
    found = await over(accounts, window)
    assert [f"{step:%Y-%m}" for step in (window.steps[0], window.steps[-1])] == ["2025-12", "2026-11"]
    assert found["JPY"][STANDARD] == [Decimal(0)] * 11 + [Decimal(1200)]
    assert set(found["JPY"]) == set(KINDS)


async def test_another_endpoint_has_none_of_it(accounts: Accounts) -> None:
    await one_of_each(accounts)
    assert await over(accounts, Window.of(Period.parse("2026-11")), endpoint="elsewhere") == {}
