"""The page on which a buyer pays."""

from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest
import pytest_asyncio

from deploy.sandbox.sandbox import Sandbox
from tests.integration.sandbox.shop import ANN, ORIGIN, Receiver, call, merchant, open_session, sell


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_button_pays_and_leads_back_to_the_shop(
    sandbox: Sandbox, shop: Receiver, browser: aiohttp.ClientSession
) -> None:
    session = await open_session(sandbox)
    async with browser.get(session["checkout_url"]) as page:
        html = await page.text()
        assert page.status == 200
        assert "form-action 'self' http://localhost:3000" in page.headers["Content-Security-Policy"]
    assert "1,200 JPY" in html
    assert f'action="/pay/{session["session_id"]}/confirm"' in html
    async with browser.post(f"{session['checkout_url']}/confirm", allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == f"{ORIGIN}/thanks?session_id={session['session_id']}"
    await sandbox.idle()
    assert [each.kind() for each in shop.confirmed()] == ["standard_settled"]
    async with browser.get(session["checkout_url"]) as page:
        html = await page.text()
    assert "<button" not in html
    assert f"{ORIGIN}/thanks" in html


async def test_a_buyer_may_sign_in_first(sandbox: Sandbox, shop: Receiver, browser: aiohttp.ClientSession) -> None:
    session = await open_session(sandbox)
    async with browser.post(f"{session['checkout_url']}/sign-in") as page:
        html = await page.text()
        assert (page.status, str(page.url)) == (200, session["checkout_url"])
    assert "sign-in" not in html
    assert 'id="confirm"' in html
    told = await call(merchant(sandbox).get_checkout_session, session["session_id"])
    assert (told["status"], told["authenticated_at"] is None, told["paid_at"]) == ("authenticated", False, None)
    await browser.post(f"{session['checkout_url']}/confirm", allow_redirects=False)
    await sandbox.idle()
    assert [each.kind() for each in shop.confirmed()] == ["standard_settled"]


async def test_a_buyer_may_cancel(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    session = await open_session(sandbox)
    async with browser.post(f"{session['checkout_url']}/cancel", allow_redirects=False) as answer:
        assert answer.headers["Location"].startswith(f"{ORIGIN}/cart")
    async with browser.post(f"{session['checkout_url']}/confirm", allow_redirects=False) as answer:
        assert answer.status == 409
        assert "is cancelled" in await answer.text()
    assert (await call(merchant(sandbox).get_checkout_session, session["session_id"]))["status"] == "cancelled"


async def test_what_the_shop_wrote_is_text_and_nothing_else(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    attack = "<script>alert(1)</script>\"'&"
    client = merchant(sandbox)
    await call(client.setup_merchant, merchant="sandbox_merchant", display_name=attack)
    session = await call(
        client.create_checkout_session,
        merchant="sandbox_merchant",
        amount_minor=1205,
        currency="USD",
        nonce=attack,
        success_url=f"{ORIGIN}/?<b>",
        cancel_url=f"{ORIGIN}/",
        metadata={attack: attack},
    )
    async with browser.get(session["checkout_url"]) as page:
        html = await page.text()
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;") == 4
    assert "12.05 USD" in html


async def test_a_session_that_has_expired_says_so(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    session = await open_session(sandbox)
    await sandbox.advance(timedelta(minutes=30))
    async with browser.get(session["checkout_url"]) as page:
        html = await page.text()
    assert "expired" in html
    assert "<button" not in html


async def test_a_buyer_who_is_past_due_is_told_on_the_page(sandbox: Sandbox, browser: aiohttp.ClientSession) -> None:
    for number in range(20):
        opened = await open_session(sandbox, f"order-{number}", 500)
        await sandbox.pay(opened["session_id"])
    session = await open_session(sandbox, "one-more", 500)
    async with browser.post(f"{session['checkout_url']}/confirm", allow_redirects=False) as answer:
        assert answer.status == 409
        assert "METERED_SETTLEMENT_PAST_DUE" in await answer.text()
    await sell(sandbox, "of-somebody-else", 500)
    assert sandbox.books().payments[-1].order_id == "of-somebody-else"
    assert ANN not in str(sandbox.books())


@pytest.mark.parametrize("path", ["/pay/chk_nowhere", "/pay/%3Cscript%3E"])
async def test_a_session_that_is_not_there(sandbox: Sandbox, browser: aiohttp.ClientSession, path: str) -> None:
    async with browser.get(f"{sandbox.root_url}{path}") as page:
        assert page.status == 404
        assert page.content_type == "text/plain"
