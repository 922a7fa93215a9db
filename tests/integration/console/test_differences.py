"""A difference between statements and books is a review like any other: listed, looked at from both sides, decided."""

import pytest

from shared.ledger.database import Pool
from tests.integration.console.conftest import OpenBrowser
from tests.integration.ledger.books import TestBooks
from tests.integration.revenue.accounts import Accounts
from tests.statements import stated_usage

PAGE = "/reviews/1"


@pytest.fixture
async def accounts(pool: Pool) -> Accounts:
    """Review 1: a statement lists usage of order-1 at half its amount."""
    accounts = Accounts(TestBooks(pool))
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage(provider_gross_amount_minor="100", provider_receivable_minor="98")])
    return accounts


async def test_both_sides_stand_next_to_each_other(accounts: Accounts, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    assert "usage:mu-order-1" in (await browser.get("/reviews?reason=statement_amount_mismatch")).words
    page = (await browser.get(PAGE)).words
    assert "The statement says The books say" in page
    assert "1 field differs between the statement and the books" in page
    assert "Accept the difference It is closed with your reason and counts as accepted" in page
    for of_events in ("As it was received", "Process it again", "process all of them again", "Link it"):
        assert of_events not in page


async def test_a_difference_is_accepted_with_a_reason(accounts: Accounts, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    done = await browser.act(f"{PAGE}/decide", on=PAGE, version="1", resolution="accept-difference", why="a coupon")
    assert done.status == 303
    assert "the difference is accepted. An order that waited for it" in (await browser.get(PAGE)).words
    assert await accounts.state() == "fulfilled_unsettled"
    assert await accounts.differences() == []


async def test_an_orders_story_tells_of_its_batch_and_of_its_difference(
    accounts: Accounts, open_browser: OpenBrowser
) -> None:
    browser = await open_browser("otto")
    assert "statement amount mismatch" in (await browser.get("/orders/show?id=order-1")).words
