"""A proxy may say who asks; only a proxy that the operator named, and never a stranger who says the same."""

from ipaddress import ip_network

from yarl import URL

from ingress.console.access.origins import OriginPolicy
from shared.ledger import users
from shared.ledger.database import Pool, connected
from tests.given import new_order
from tests.integration.console.conftest import OpenBrowser
from tests.integration.ledger.books import TestBooks

BEHIND = OriginPolicy(proxies=(ip_network("127.0.0.0/8"),))
ELSEWHERE = OriginPolicy(proxies=(ip_network("10.1.2.0/24"),))
EVE = {"X-Forwarded-User": "eve", "X-Forwarded-Groups": "staff,sre"}


async def test_the_named_proxy_says_who_asks_and_the_group_says_the_role(open_browser: OpenBrowser) -> None:
    browser = await open_browser(origins=BEHIND)
    page = await browser.get("/", headers=EVE)
    assert "eve operator" in page.words
    assert "Log out" not in page.words  # there is no session of ours to end


async def test_a_foreign_address_that_sends_the_same_headers_is_a_stranger(open_browser: OpenBrowser) -> None:
    for origins in (OriginPolicy(), ELSEWHERE):
        browser = await open_browser(origins=origins)
        assert (await browser.get("/orders", headers=EVE | {"X-Forwarded-For": "10.1.2.3"})).status == 303


async def test_what_a_proxied_person_does_is_audited_under_their_name(pool: Pool, open_browser: OpenBrowser) -> None:
    books = TestBooks(pool)
    await books.register(new_order())
    browser = await open_browser(origins=BEHIND)
    token = (await browser.get("/orders/show?id=order-1", headers=EVE)).form_token
    done = await browser.post("/orders/cancel", headers=EVE, form_token=token, id="order-1")
    assert done.status == 303
    assert "is cancelled" in (await browser.get(done.headers["Location"], headers=EVE)).words
    assert await books.value("SELECT actor FROM kessai.audit WHERE to_state = 'cancelled'") == "user:eve"
    forged = await browser.post("/orders/cancel", headers=EVE, form_token="f" * 64, id="order-1")
    assert forged.status == 403


async def test_who_may_not_come_in_is_told_why(pool: Pool, open_browser: OpenBrowser) -> None:
    async with connected(pool) as connection:
        await users.disable(connection, "vera", actor="test")
    browser = await open_browser(origins=BEHIND)
    for name, groups, why in (
        ("eve", "staff", "no group that has a role"),
        ("<b>eve", "sre", "names no user"),
        ("", "sre", "names no user"),
        ("vera", "sre", "disabled"),
    ):
        refused = await browser.get("/", headers={"X-Forwarded-User": name, "X-Forwarded-Groups": groups})
        assert (refused.status, why in refused.words) == (403, True), refused.words


async def test_a_user_header_sent_twice_is_nobody(open_browser: OpenBrowser) -> None:
    browser = await open_browser(origins=BEHIND)
    twice = [("X-Forwarded-User", "eve"), ("X-Forwarded-User", "ada"), ("X-Forwarded-Groups", "sre")]
    async with browser.client.get("/", headers=twice, allow_redirects=False) as answer:
        assert answer.status == 403


async def test_a_user_of_ours_whom_the_proxy_names_without_a_group_keeps_the_role_given_here(
    open_browser: OpenBrowser,
) -> None:
    page = await (await open_browser(origins=BEHIND)).get("/", headers={"X-Forwarded-User": "otto"})
    assert "otto operator" in page.words


async def test_on_loopback_a_name_that_somebody_pointed_at_us_is_refused(open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "kessai.example.com", "[", ""):
        refused = await browser.get("/orders", headers={"Host": host})
        assert refused.status in {400, 421}, host
        assert "Registered" not in refused.words


async def test_a_proxy_may_change_the_host_when_the_origin_is_told(pool: Pool, open_browser: OpenBrowser) -> None:
    books = TestBooks(pool)
    await books.register(new_order())
    browser = await open_browser(origins=OriginPolicy(proxies=BEHIND.proxies, origin=URL("http://kessai.example.com")))
    headers = EVE | {"Origin": "http://kessai.example.com"}
    token = (await browser.get("/orders/show?id=order-1", headers=EVE)).form_token
    foreign = EVE | {"Origin": "http://evil.example.com"}
    assert (await browser.post("/orders/cancel", headers=foreign, form_token=token, id="order-1")).status == 403
    assert (await browser.post("/orders/cancel", headers=headers, form_token=token, id="order-1")).status == 303


async def test_our_own_names_are_known(open_browser: OpenBrowser) -> None:
    browser = await open_browser(origins=OriginPolicy(origin=URL("http://kessai.example.com")))
    for host in ("localhost:1", "127.0.0.1", "[::1]:8070", "kessai.example.com"):
        assert (await browser.get("/login", headers={"Host": host})).status == 200, host
