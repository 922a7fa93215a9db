"""The console in a browser: quiet, self-contained, usable by keyboard, without scripts, on a phone, in the dark."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote, urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Dialog, Page, Request

from tests.integration.console.furnished import IMAGE, PASSWORD, SCRIPT

PATHS: Final = (
    *("/", "/?range=7d", "/orders", "/orders/show?id=order-2026-00001", "/orders/show?id=order-2026-00125"),
    *(f"/orders/show?id={quote(name, safe='')}" for name in (SCRIPT, IMAGE)),
    *("/events", "/events/show?endpoint=siglume&id=evt-usage", "/reviews", "/reviews/3", "/reviews/7"),
    *("/dead-letters", "/dead-letters/list", "/dead-letters/5", "/dead-letters/6", "/replays", "/replays/1"),
    *("/audit?show=everything", "/keys", "/users", "/password", "/find", "/orders?by=paid", "/revenue"),
)
PHONE: Final = {"width": 360, "height": 740}

# The text of each element against what lies behind it, by WCAG 2: ratios below 4.5 with their text.
FAINT = """
() => {
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = parts(getComputedStyle(at).backgroundColor);
      if (alpha > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll("main *, header *, nav *, footer")) {
    const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.textContent.trim()).join("");
    if (!text || element.matches(":disabled, option, desc, title") || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const [high, low] = [luminance(parts(colour).slice(0, 3)), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${element.className} ${text.slice(0, 40)}`);
  }
  return faint;
}
"""


@asynccontextmanager
async def logged_in(browser: Browser, console: str, name: str = "ada", **context: Any) -> AsyncIterator[Page]:  # noqa: ANN401
    """Somebody logged in; whatever the browser complains of, or asks of anybody else, fails the test."""
    opened = await browser.new_context(base_url=console, **context)
    page = await opened.new_page()
    page.set_default_timeout(10_000)
    trouble: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            trouble.append(message.text)

    async def refuse(dialog: Dialog) -> None:
        trouble.append(dialog.message)
        await dialog.dismiss()

    page.on("console", hear)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", refuse)
    hosts: set[str] = set()
    opened.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    await page.goto("/login")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("heading", name="Overview", exact=True).wait_for()
    yield page
    await opened.close()
    assert trouble == []
    assert hosts == {urlsplit(console).netloc}


async def overflow(page: Page) -> int:
    """Pixels that the page is wider than its window."""
    wider: int = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return wider


@pytest.mark.parametrize(
    "context",
    [{"color_scheme": "light"}, {"color_scheme": "dark", "viewport": PHONE}],
    ids=["light", "dark, on a phone"],
)
async def test_every_page_is_quiet_legible_and_fits(browser: Browser, console: str, context: Mapping[str, Any]) -> None:
    async with logged_in(browser, console, **context) as page:
        for path in PATHS:
            answer = await page.goto(path)
            assert answer is not None
            assert answer.status == 200, path
            assert await page.locator("h1").count() == 1
            assert await overflow(page) <= 0, path
            assert await page.evaluate(FAINT) == [], path
            assert await page.locator("main img").count() == 0


async def test_everything_works_without_scripts(browser: Browser, console: str) -> None:
    async with logged_in(browser, console, "otto", java_script_enabled=False) as page:
        await page.get_by_role("link", name="Orders").click()
        await page.get_by_label("State").select_option("pending")
        await page.get_by_role("button", name="Show").click()
        assert await page.get_by_label("State").input_value() == "pending"
        await page.get_by_role("link", name="order-2026-00125").click()
        await page.get_by_role("button", name="Cancel the order").click()
        assert await page.get_by_role("status").inner_text() == "Order order-2026-00125 is cancelled."
        await page.get_by_role("link", name="Dead letters").click()
        await page.get_by_role("link", name="One by one").click()
        await page.get_by_role("link", name="Older").click()
        assert await page.locator("tbody tr").count() == 20
        await page.get_by_role("link", name="Newest").click()
        await page.get_by_role("searchbox").fill("evt-usage")
        await page.get_by_role("button", name="Find").click()
        assert "evt-usage" in await page.get_by_role("heading", level=1).inner_text()
        await page.get_by_role("button", name="Log out").click()
        await page.goto("/orders")
        await page.get_by_role("heading", name="Log in").wait_for()


async def test_a_replay_is_planned_started_and_steered_without_scripts(browser: Browser, console: str) -> None:
    async with logged_in(browser, console, "otto", java_script_enabled=False) as page:
        await page.goto("/dead-letters")
        await page.get_by_role("link", name="OrderLockTimeout").click()
        await page.get_by_role("button", name="Plan a replay").click()
        while await page.get_by_role("link", name="Reload").count():
            await page.get_by_role("link", name="Reload").click()
        await page.get_by_role("textbox", name="Why").fill("the lock is mended")
        await page.get_by_role("button", name="Start the replay").click()
        await page.get_by_role("link", name="Reload").click()
        await page.get_by_role("button", name="Pause").click()
        assert "is paused" in await page.locator("main > .message").inner_text()
        await page.get_by_role("button", name="Cancel").click()
        assert "is cancelled" in await page.locator("main > .message").inner_text()


async def test_the_keyboard_reaches_everything_and_shows_where_it_is(browser: Browser, console: str) -> None:
    async with logged_in(browser, console) as page:
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert await page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        await page.keyboard.press("/")
        assert await page.evaluate("document.activeElement.id") == "find"
        await page.keyboard.type("order-usd")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="order-usd").wait_for()
        await page.goto("/users")
        for _ in range(30):
            await page.keyboard.press("Tab")
            drawn = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert drawn != "none" or await page.evaluate("document.activeElement === document.body")


async def test_a_second_click_sends_an_act_once(browser: Browser, console: str) -> None:
    async with logged_in(browser, console, "otto") as page:
        await page.goto("/orders/show?id=order-2026-00126")
        sent: list[str] = []

        def count(request: Request) -> None:
            sent.extend([request.method] if request.method == "POST" else [])

        page.on("request", count)
        await page.get_by_role("button", name="Cancel the order").dblclick(no_wait_after=True)
        await page.get_by_role("status").wait_for()
        assert sent == ["POST"]
        assert "is cancelled" in await page.get_by_role("status").inner_text()
