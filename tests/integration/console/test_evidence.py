"""What the platform says stands on a review's page, and what that suggests is done with one act."""

from datetime import timedelta

import pytest

from shared.ledger import missed_webhooks, platform_evidence, reviews
from shared.ledger.database import Pool, connected
from shared.ledger.decisions import Resolution
from shared.ledger.hosted_sessions import StatedSession, beside_order
from shared.ledger.suggestions import Suggestion
from tests.given import NOW, challenge_hash, new_order
from tests.integration.console.conftest import OpenBrowser
from tests.integration.ledger.books import TestBooks

PAGE = "/reviews/1"
HASH = challenge_hash("order-1")
SESSION = StatedSession(
    *("chk_1", "paid", "tea_house", 1200, "JPY", HASH, "req-1", "standard", "per_payment_onchain", "settled"),
    *("chain-1", NOW - timedelta(hours=1)),
)


async def ask_about(books: TestBooks) -> None:
    """Order-1 is paid, as its session says, and no webhook told so; a worker asked, and suggests to take it."""
    await books.register(new_order())
    order = await books.order()
    async with connected(books.pool) as connection:
        await missed_webhooks.open_review(connection, order, HASH, SESSION, now=NOW)
        review, _ = await reviews.find(connection, 1)
        told = {"asked_at": NOW.isoformat(), **beside_order(SESSION, order, HASH)}
        suggestion = Suggestion(Resolution.ACCEPT_SESSION, "it is settled and fits")
        await platform_evidence.attach(connection, review, told, suggestion, ask_at=None)


@pytest.fixture
async def books(pool: Pool) -> TestBooks:
    books = TestBooks(pool)
    await ask_about(books)
    return books


async def test_the_page_shows_what_was_asked_and_takes_the_suggestion(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    browser = await open_browser("otto")
    page = (await browser.get(PAGE)).words
    assert "The session is paid, and agrees with the order; no webhook said so." in page
    assert "What the platform says Asked 2026-11-20 12:00:00Z." in page
    assert "The platform's evidence suggests Take the payment without its webhook" in page
    assert "it is settled and fits" in page
    assert "order-1 becomes paid." in page
    stale = await browser.act(f"{PAGE}/follow", on=PAGE, version="1")
    assert (stale.status, "Nothing was changed by you." in stale.words) == (409, True)
    assert (await browser.act(f"{PAGE}/follow", on=PAGE, version="2")).status == 303
    assert "Closed: accept-session. order-1 is paid." in (await browser.get(PAGE)).words
    assert (await books.order()).state == "paid"
    again = await browser.act(f"{PAGE}/follow", on="/", version="3")
    assert (again.status, "was closed by user:otto" in again.words) == (409, True)


async def test_a_viewer_may_not_take_it(books: TestBooks, open_browser: OpenBrowser) -> None:
    browser = await open_browser("vera")
    assert (await browser.act(f"{PAGE}/follow", on=PAGE, version="2")).status == 403
    assert (await books.order()).state == "pending"


async def test_two_must_agree_to_it_where_two_are_asked_for(books: TestBooks, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto", approvals=2)
    assert (await browser.act(f"{PAGE}/follow", on=PAGE, version="2")).status == 303
    assert (await books.order()).state == "pending"
    ada = await open_browser("ada")
    assert (await ada.act(f"{PAGE}/approve", on=PAGE, version="3")).status == 303
    assert (await books.order()).state == "paid"
