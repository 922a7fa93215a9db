"""Who comes in, how long they stay, and how guessing is slowed down."""

import hashlib
import time
from ipaddress import ip_network

from yarl import URL

from ingress.console.access.limits import LoginLimits
from ingress.console.access.origins import OriginPolicy
from shared.ledger import users
from shared.ledger.database import Pool, connected
from shared.ledger.passwords import hashed
from tests.integration.console.conftest import OpenBrowser
from tests.integration.console.furnished import PASSWORD, PASSWORD_HASH

SESSION = "kessai-session"
DEVICE = "kessai-device"


async def test_a_stranger_is_asked_to_log_in_and_then_sees_the_page_that_was_asked_for(
    open_browser: OpenBrowser,
) -> None:
    browser = await open_browser()
    sent = await browser.get("/orders/show?id=a%20b")
    assert (sent.status, sent.headers["Location"]) == (303, "/login?next=%2Forders%2Fshow%3Fid%3Da%2520b")
    form = await browser.get(sent.headers["Location"])
    assert 'value="/orders/show?id=a%20b"' in form.text
    done = await browser.log_in("otto", onward="/orders/show?id=a%20b")
    assert (done.status, done.headers["Location"]) == (303, "/orders/show?id=a%20b")


async def test_a_login_leads_to_pages_of_the_console_alone(open_browser: OpenBrowser) -> None:
    browser = await open_browser()
    for onward in ("//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nSet-Cookie: a=b"):
        assert (await browser.log_in("otto", onward=onward)).headers["Location"] == "/"
        await browser.act("/logout")


async def test_whatever_is_wrong_with_a_login_the_answer_is_the_same(pool: Pool, open_browser: OpenBrowser) -> None:
    async with connected(pool) as connection:
        await users.disable(connection, "vera", actor="test")
    answers = [
        await (await open_browser()).log_in(name, password)
        for name, password in (("otto", "wrong password"), ("nobody", PASSWORD), ("vera", PASSWORD), ("\0", PASSWORD))
    ]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.words for answer in answers}) == 1
    assert all(SESSION not in answer.cookies for answer in answers)


async def test_a_name_that_is_not_there_takes_as_long_as_one_that_is(open_browser: OpenBrowser) -> None:
    browser = await open_browser()

    async def took(name: str) -> float:
        began = time.perf_counter()
        await browser.log_in(name, "wrong password")
        return time.perf_counter() - began

    known = min([await took("otto") for _ in range(3)])
    unknown = min([await took("nobody") for _ in range(3)])
    assert unknown > known / 2


async def test_a_login_gives_a_fresh_token_whatever_token_was_planted_before(
    pool: Pool, open_browser: OpenBrowser
) -> None:
    browser = await open_browser()
    browser.carry(kessai_session="planted")
    await browser.log_in("otto")
    first = browser.cookies[SESSION]
    assert first != "planted"
    await browser.act("/logout")
    assert SESSION not in browser.cookies
    digests = await pool.fetch("SELECT token_digest FROM kessai.sessions")
    assert digests == []


async def test_logging_in_again_ends_the_session_before(pool: Pool, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    before, form = browser.cookies[SESSION], await browser.get("/")
    await browser.post("/login", form_token=form.form_token, name="ada", password=PASSWORD)
    assert browser.cookies[SESSION] != before
    other = await open_browser()
    other.carry(kessai_session=before)
    assert (await other.get("/")).status == 303


async def test_the_books_hold_only_a_digest_of_the_token(pool: Pool, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    token = browser.cookies[SESSION]
    row = await pool.fetchrow("SELECT token_digest, sessions::text AS line FROM kessai.sessions")
    assert row is not None
    assert row["token_digest"] == hashlib.sha256(token.encode()).digest()
    assert token not in row["line"]


async def test_a_stolen_digest_opens_nothing(pool: Pool, open_browser: OpenBrowser) -> None:
    await open_browser("otto")
    thief = await open_browser()
    thief.carry(kessai_session=(await pool.fetchval("SELECT token_digest FROM kessai.sessions")).hex())
    assert (await thief.get("/")).status == 303


async def test_a_session_that_is_over_shows_no_page_and_does_no_act(pool: Pool, open_browser: OpenBrowser) -> None:
    for change in (
        "UPDATE kessai.sessions SET expires_at = now()",
        "UPDATE kessai.sessions SET seen_at = now() - interval '2 hours 1 minute'",
        "UPDATE kessai.users SET disabled_at = now()",
        "DELETE FROM kessai.users",
    ):
        browser = await open_browser("otto")
        token = (await browser.get("/")).form_token
        await pool.execute(change)
        assert (await browser.get("/orders")).status == 303, change
        refused = await browser.post("/orders/cancel", form_token=token, id="order-1")
        assert (refused.status, "Your session has ended" in refused.words) == (401, True)
        await pool.execute("UPDATE kessai.users SET disabled_at = NULL")


async def test_use_keeps_a_session_going_until_its_end(pool: Pool, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    await pool.execute("UPDATE kessai.sessions SET seen_at = now() - interval '1 hour 59 minutes'")
    assert (await browser.get("/orders")).status == 200
    assert await pool.fetchval("SELECT now() - seen_at < interval '1 minute' FROM kessai.sessions")


async def test_a_new_password_logs_everybody_out_under_that_name(pool: Pool, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    async with connected(pool) as connection:
        await users.set_password(connection, "otto", PASSWORD_HASH, actor="test")
    assert (await browser.get("/")).status == 303


async def test_guessing_at_one_name_is_slowed_and_the_right_password_waits_too(open_browser: OpenBrowser) -> None:
    now = [1000.0]
    browser = await open_browser(limits=LoginLimits(a_client=3, an_address=100, within=60.0, clock=lambda: now[0]))
    assert [(await browser.log_in("otto", "a wrong guess")).status for _ in range(3)] == [401, 401, 401]
    refused = await browser.log_in("otto")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
    assert SESSION not in refused.cookies
    assert (await browser.log_in("ada", "a wrong guess")).status == 401  # others are not locked out with them
    now[0] += 60
    assert (await browser.log_in("otto")).status == 303


async def test_guessing_many_names_is_slowed_by_address(open_browser: OpenBrowser) -> None:
    browser = await open_browser(limits=LoginLimits(an_address=4, within=60.0))
    statuses = [(await browser.log_in(f"name{number}", "a wrong guess")).status for number in range(6)]
    assert statuses == [401, 401, 401, 401, 429, 429]


async def test_behind_a_proxy_that_ends_tls_strangers_are_told_apart(open_browser: OpenBrowser) -> None:
    behind = OriginPolicy(tls_proxies=(ip_network("127.0.0.0/8"),))
    browser = await open_browser(origins=behind, limits=LoginLimits(an_address=2))

    async def guess(address: str) -> int:
        headers = {"X-Forwarded-For": f"192.0.2.1, {address}"}
        return (await browser.act("/login", on="/login", headers=headers, name="otto", password="wrong")).status

    assert [await guess("203.0.113.9") for _ in range(3)] == [401, 401, 429]
    assert await guess("203.0.113.10") == 401


async def test_strangers_cannot_lock_out_who_has_logged_in_from_here_before(open_browser: OpenBrowser) -> None:
    """Not even from the same address: behind a proxy that tells no other, everybody has it."""
    otto, ada = (
        await open_browser("otto", limits=LoginLimits(a_client=3, an_address=6, a_name=6)),
        await open_browser("ada"),
    )
    await otto.act("/logout")
    stranger = await open_browser()
    for name in ("otto", "ada", "otto", "vera", "otto", "vera"):
        await stranger.log_in(name, "a wrong guess")
    assert (await stranger.log_in("otto")).status == 429
    stranger.carry(kessai_device=ada.cookies[DEVICE])
    assert (await stranger.log_in("otto")).status == 429, "another's cookie is worth nothing"
    assert (await otto.log_in("otto")).status == 303


async def test_a_browser_that_is_known_guesses_no_faster(open_browser: OpenBrowser) -> None:
    otto = await open_browser("otto", limits=LoginLimits(a_client=3))
    await otto.act("/logout")
    assert [(await otto.log_in("otto", "a wrong guess")).status for _ in range(4)] == [401, 401, 401, 429]


async def test_another_password_makes_every_browser_a_stranger(pool: Pool, open_browser: OpenBrowser) -> None:
    otto = await open_browser("otto", limits=LoginLimits(a_client=1))
    await otto.act("/logout")
    async with connected(pool) as connection:
        await users.set_password(connection, "otto", hashed(PASSWORD), actor="test")
    await (await open_browser()).log_in("otto", "a wrong guess")
    assert (await otto.log_in("otto")).status == 429


async def test_logging_in_often_is_no_guessing(open_browser: OpenBrowser) -> None:
    browser = await open_browser(limits=LoginLimits(a_client=2, an_address=2, a_name=2))
    for _ in range(4):
        assert (await browser.log_in("otto")).status == 303
        await browser.act("/logout")


async def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(open_browser: OpenBrowser) -> None:
    done = await (await open_browser()).log_in("otto")
    for line in (done.cookies[SESSION], done.cookies[DEVICE]):
        assert "HttpOnly" in line
        assert "SameSite=Lax" in line
        assert "Secure" not in line


async def test_behind_https_cookies_stay_there(open_browser: OpenBrowser) -> None:
    browser = await open_browser(origins=OriginPolicy(origin=URL("https://kessai.example.com")))
    seen = await browser.get("/login", headers={"Host": "kessai.example.com"})
    assert list(seen.cookies) == ["__Host-kessai-visit"]
    assert "Secure" in seen.cookies["__Host-kessai-visit"]


async def test_comings_and_goings_are_audited(pool: Pool, open_browser: OpenBrowser) -> None:
    await (await open_browser("otto")).act("/logout")
    rows = await pool.fetch("SELECT actor, action FROM kessai.audit WHERE action LIKE 'session.%' ORDER BY audit_id")
    assert [tuple(row) for row in rows] == [("user:otto", "session.began"), ("user:otto", "session.ended")]
