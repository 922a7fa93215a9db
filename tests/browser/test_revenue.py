"""The revenue page in a browser: in light and dark, on large and small screens, with labels that do not collide."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser

from shared.ledger.database import open_pool
from tests.browser.conftest import serving
from tests.browser.test_console import FAINT, PHONE, logged_in, overflow
from tests.integration.console.furnished import IMAGE, SCRIPT, let_in
from tests.integration.ledger.books import TestBooks
from tests.integration.revenue.accounts import Accounts
from tests.integration.revenue.test_report import one_of_each
from tests.statements import stated_batch, stated_usage

PATHS: Final = (
    *("/revenue?period=2026-11", "/revenue?period=2026-11-20", "/revenue?period=2026-W47", "/revenue?period=2026"),
    *("/revenue?period=2026-11&chart=year&currency=JPY", "/revenue?period=1999"),
)

# Labels of each chart that lie upon one another, or leave its frame.
COLLIDING = """
() => [...document.querySelectorAll(".chart svg[role=img]")].flatMap((chart) => {
  const frame = chart.closest(".chart").getBoundingClientRect();
  const labels = [...chart.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  const out = labels.filter(([, box]) => box.left < frame.left || box.right > frame.right).map(([text]) => text);
  const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom - 3 <= b.top || b.bottom - 3 <= a.top;
  const upon = labels.flatMap(([text, box], at) =>
    labels.slice(at + 1).filter(([, other]) => !apart(box, other)).map(([other]) => `${text} on ${other}`));
  return [...out, ...upon];
})
"""


@pytest.fixture
async def console(database_url: str, amqp_url: str) -> AsyncIterator[str]:
    """Over books with every kind of money, buyers of every level and hostile names."""
    pool = await open_pool(database_url, application="test", size=2, statement_timeout=20.0, keys_only=True)
    await let_in(pool)
    accounts = Accounts(TestBooks(pool))
    await one_of_each(accounts)
    batches = [
        stated_batch(f"batch-{number}", "ready", payments=3 * number, buyer_period_ref=f"bpr_{number:02d}f9c3e7a1b5d8")
        for number in range(1, 26)
    ]
    odd = stated_usage("order-odd", buyer_period_ref=SCRIPT, provider_gross_amount_minor="123456789012.125")
    await accounts.sync([odd], [*batches, stated_batch(IMAGE, "ready", payments=70, buyer_period_ref=IMAGE)])
    pool.terminate()
    async with serving(database_url, amqp_url) as address:
        yield address


@pytest.mark.parametrize(
    "context",
    [
        {"color_scheme": "light"},
        {"color_scheme": "dark", "viewport": {"width": 1024, "height": 768}},
        {"color_scheme": "dark", "viewport": PHONE},
    ],
    ids=["light", "dark", "phone"],
)
async def test_it_is_quiet_legible_and_fits(
    browser: Browser, console: str, context: Mapping[str, Any], tmp_path: Path
) -> None:
    async with logged_in(browser, console, "vera", **context) as page:
        for number, path in enumerate(PATHS):
            answer = await page.goto(path)
            assert answer is not None
            assert answer.status == 200
            await page.get_by_role("heading", name="Statements", exact=True).wait_for()  # comes by itself
            await page.screenshot(path=tmp_path / f"{number}.png", full_page=True)
            assert await overflow(page) <= 0, path
            assert await page.evaluate(FAINT) == [], path
            assert await page.evaluate(COLLIDING) == [], path
            assert await page.locator("main img").count() == 0
        assert len(list(tmp_path.glob("*.png"))) == len(PATHS)


async def test_a_period_is_chosen_by_keyboard_and_without_scripts(browser: Browser, console: str) -> None:
    async with logged_in(browser, console, "vera", java_script_enabled=False) as page:
        await page.get_by_role("link", name="Revenue", exact=True).click()
        period = page.get_by_label("Period", exact=True)
        await period.fill("2026-11")
        await period.press("Enter")
        await page.get_by_role("heading", name="JPY", exact=True).wait_for()
        await page.get_by_label("Currency").select_option("USD")
        await page.get_by_role("button", name="Show").press("Enter")
        await page.get_by_role("heading", name="USD", exact=True).wait_for()
        assert await page.get_by_role("heading", name="JPY", exact=True).count() == 0
        await page.get_by_role("link", name="12 months").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="By month").wait_for()
        await page.get_by_role("link", name="Before: 2026-10").press("Enter")
        await page.get_by_text("No money moved in 2026-10.").wait_for()
        async with page.expect_download() as coming:
            await page.goto("/revenue?period=2026-11")
            await page.get_by_role("link", name="CSV").click()
        assert (await coming.value).suggested_filename == "kessai-revenue-2026-11.csv"
