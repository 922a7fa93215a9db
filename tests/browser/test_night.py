"""A night on call, in a browser, on real servers with real workers: dead letters, and a payment that does not fit."""

import asyncio
from datetime import UTC, datetime

from playwright.async_api import Browser, Page

from shared.broker.envelope import Failure
from shared.ledger import dead_letters
from shared.ledger.database import connected, open_pool
from tests.browser.conftest import serving
from tests.browser.test_console import logged_in
from tests.given import envelope, incoming, new_order, payment
from tests.integration.console.furnished import let_in
from tests.integration.ledger.books import TestBooks
from tests.programs import Kessai

LETTERS = 300
CAUSE = Failure("transient:OrderLockTimeout", "OrderLockTimeout", "another transaction held the order for 2 s")


async def bad_night(database_url: str) -> None:
    pool = await open_pool(database_url, application="test", size=2, statement_timeout=20.0)
    await let_in(pool)
    books = TestBooks(pool)
    await books.register(new_order("order-7"), *(new_order(f"order-n{number}") for number in range(LETTERS - 20)))
    now = datetime.now(UTC)
    await books.apply(incoming(payment("evt-odd", "order-7", amount_minor=1900), received_at=now))
    letters = [
        envelope(payment(f"evt-n{number}", f"order-n{number}"), received_at=now, attempts=4)
        for number in range(LETTERS)
    ]
    async with connected(pool) as connection:
        await dead_letters.archive(connection, [(letter, CAUSE) for letter in letters])
    pool.terminate()


async def test_a_night_on_call(browser: Browser, kessai: Kessai, database_url: str, amqp_url: str) -> None:
    await bad_night(database_url)
    async with serving(database_url, amqp_url) as console:
        with kessai.role("worker", "all"):
            async with logged_in(browser, console, "otto") as page:
                await _plan(page)
                await _replay(page)
                await _decide(page)
                await _read(page)


async def _plan(page: Page) -> None:
    await page.get_by_role("link", name="Dead letters", exact=True).click()
    await page.get_by_role("link", name="OrderLockTimeout").click()
    await page.get_by_role("button", name=f"Plan a replay of all {LETTERS}").click()
    await page.get_by_role("button", name=f"Start the replay of {LETTERS} events").wait_for()  # comes by itself
    predicted = await page.locator("table.outcomes").inner_text()
    assert "280" in predicted
    assert "20" in predicted
    assert "pending → paid" in await page.locator("main").inner_text()


async def _replay(page: Page) -> None:
    await page.locator("textarea[name=why]").fill("INC-7: the lock is mended")
    await page.get_by_label("Rate").fill("60/s")
    await page.get_by_role("button", name="Start the replay").click()
    async with asyncio.timeout(60):
        while not 0 < int(await page.locator("[data-show=done]").inner_text()) < LETTERS:
            await asyncio.sleep(0.05)
    await page.locator("h1 .tag", has_text="done").wait_for(timeout=60_000)
    came_to = await page.locator("table.outcomes").inner_text()
    assert came_to.count("280") == 2
    assert came_to.count("20") == 2
    await page.get_by_role("link", name="Dead letters", exact=True).click()
    assert "No open dead letters." in await page.locator("main").inner_text()


async def _decide(page: Page) -> None:
    await page.get_by_role("link", name="Reviews", exact=True).click()
    await page.get_by_label("Reason").select_option("amount_mismatch")
    await page.get_by_role("button", name="Show").click()
    await page.locator("tbody a").first.click()
    await page.get_by_role("button", name="Claim it").click()
    await page.get_by_label("Accept it although it does not match").check()
    await page.locator("textarea[name=why]").fill("the buyer paid the tip as well")
    await page.get_by_role("button", name="Decide").click()
    assert "order-7 is paid" in await page.get_by_role("status").inner_text()


async def _read(page: Page) -> None:
    await page.get_by_role("searchbox").fill("order-7")
    await page.get_by_role("button", name="Find").click()
    await page.get_by_role("heading", name="Timeline").wait_for()
    story = await page.locator("ol.timeline").inner_text()
    for step in ("Webhook received", "Review opened", "Pending → paid", "the buyer paid the tip as well"):
        assert step in story, story
