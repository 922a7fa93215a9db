"""Dead letters discarded and opened again, an order's story, files, keys, one's own password."""

import json
import re
from datetime import UTC, datetime, timedelta

from shared.ledger.database import Pool
from tests.given import ENDPOINT, SECRET, incoming, new_order, payment
from tests.integration.console.browser import Seen
from tests.integration.console.conftest import OpenBrowser
from tests.integration.console.furnished import PASSWORD, bury, furnish
from tests.integration.ledger.books import TestBooks


async def test_a_group_is_discarded_as_it_was_seen_and_opened_again(pool: Pool, open_browser: OpenBrowser) -> None:
    await furnish(pool, letters=8)
    browser, books = await open_browser("otto"), TestBooks(pool)
    group = await pool.fetchval("SELECT group_id FROM kessai.dead_letters WHERE error = 'OrderLockTimeout' LIMIT 1")
    page = f"/dead-letters/groups/{group}"
    form = await browser.get(page)

    async def send(what: str, why: str) -> Seen:
        (version,) = re.findall(rf'/{what}">.*?name="version" value="([^"]*)"', form.text, re.DOTALL)
        return await browser.post(f"{page}/{what}", form_token=form.form_token, version=version, why=why)

    blank = await send("discard", " ")
    assert (blank.status, "Say why in 1 to 4000 characters" in blank.words) == (400, True)
    await browser.act("/dead-letters/1/discard", on="/dead-letters/1", why="one leaves")
    await bury(pool, 1)  # and another comes
    stale = await send("discard", "of a test")
    assert (stale.status, "letters came or left, and 6 are open by now" in stale.words) == (409, True), stale.words
    assert "of a test</textarea>" in stale.text
    assert await pool.fetchval("SELECT count(*) FROM kessai.dead_letters WHERE state = 'discarded'") == 1
    form = stale  # which shows them all
    await send("discard", "of a test")
    form = await browser.get(page)
    assert "6 dead letters are discarded; their bytes stay." in form.words
    assert ("user:otto", "dead_letter.discarded", "dead_letter:2") in await books.acts()
    await send("reopen", "they are needed")
    await browser.act(f"{page}/note", on=page, body="the lock is mended in 1.4")
    assert "the lock is mended in 1.4" in (await browser.get("/dead-letters")).words
    await browser.act("/dead-letters/1/discard", on="/dead-letters/1", why="a test")
    assert "Reopen it" in (await browser.get("/dead-letters/1")).words
    late = await browser.act("/dead-letters/1/discard", on="/dead-letters/1", why="a test")
    assert "is discarded by now. Nothing was changed." in (await browser.get(late.headers["Location"])).words


async def test_a_letter_whose_bytes_are_deleted_is_shown_without_them_and_cannot_be_opened(
    pool: Pool, open_browser: OpenBrowser
) -> None:
    await furnish(pool, letters=1)
    browser = await open_browser("otto")
    before = await browser.get("/dead-letters/1")
    await browser.act("/dead-letters/1/discard", on="/dead-letters/1", why="a test")
    group = await pool.fetchval(
        "UPDATE kessai.dead_letters SET raw = NULL, raw_deleted_at = '2026-11-01Z' WHERE dead_letter_id = 1 "
        "RETURNING group_id"
    )
    for path in ("/dead-letters/1", f"/dead-letters/groups/{group}"):
        page = await browser.get(path)
        assert (page.status, "deleted on 2026-11-01" in page.words) == (200, True), page.words
    assert "Reopen it" not in (await browser.get("/dead-letters/1")).words
    refused = await browser.post("/dead-letters/1/reopen", form_token=before.form_token, why="it was ours")
    assert "cannot be opened again" in (await browser.get("/dead-letters/1")).words, refused.words
    assert await pool.fetchval("SELECT state FROM kessai.dead_letters WHERE dead_letter_id = 1") == "discarded"


async def test_an_order_tells_its_story(pool: Pool, open_browser: OpenBrowser) -> None:
    books = TestBooks(pool)
    await books.register(new_order())
    await books.apply(incoming(payment(amount_minor=1900), received_at=datetime.now(UTC)))
    browser, page = await open_browser("otto"), "/orders/show?id=order-1"
    assert "Review 1 waits for a decision: amount mismatch." in (await browser.get(page)).words
    await browser.act("/reviews/1/decide", on="/reviews/1", version="1", resolution="accept-mismatch", why="rounded")
    await browser.act("/orders/note", on=page, id="order-1", body="told the buyer")
    words = (await browser.get(page)).words
    story = words[words.index("Timeline") :]
    steps = ("Registered", "Webhook received", "Review opened", "Pending → paid", "Review closed", "told the buyer")
    assert [story.index(step) for step in steps] == sorted(story.index(step) for step in steps), story
    assert "why rounded" in story
    assert (await browser.act("/orders/note", on=page, id="order-1", body=" ")).status == 400


async def test_a_file_has_every_row_and_who_took_it_is_on_record(pool: Pool, open_browser: OpenBrowser) -> None:
    books = TestBooks(pool)
    await books.register(*(new_order(f"order-{number:04d}") for number in range(1500)))
    browser = await open_browser("vera")
    csv = await browser.act("/exports/orders", on="/orders", form="csv")
    assert (csv.status, csv.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert csv.headers["Content-Disposition"].startswith('attachment; filename="kessai-orders-')
    assert len(csv.text.splitlines()) == 1501
    for what in ("events", "reviews", "dead-letters", "audit", "orders"):
        answer = await browser.act(f"/exports/{what}", on="/", form="jsonl", since="2026-01-01", until="9999-12-31")
        assert answer.status == 200
        assert all(json.loads(line) for line in answer.text.splitlines())
    assert ("user:vera", "export.taken", "export:dead-letters") in await books.acts()
    for fields, status in (({"form": "xml"}, 404), ({"form": "csv", "since": "tomorrow"}, 400)):
        assert (await browser.fill("/exports/orders", fields)).status == status


async def test_an_export_beyond_the_limit_is_refused_instead_of_queued(pool: Pool, open_browser: OpenBrowser) -> None:
    answer = await (await open_browser("vera", exports_at_once=0)).act("/exports/orders", form="csv")
    assert (answer.status, "Others are exporting just now" in answer.words) == (503, True)
    assert answer.headers["Retry-After"] == "31"
    assert ("user:vera", "export.taken", "export:orders") not in await TestBooks(pool).acts()


async def test_a_console_that_was_given_the_secret_proves_signatures(pool: Pool, open_browser: OpenBrowser) -> None:
    books = TestBooks(pool)
    await books.register(new_order())
    await books.apply(incoming(payment()))
    await bury(pool, 1)
    event = "/events/show?endpoint=siglume&id=evt-1"
    vera = await open_browser("vera", secrets={ENDPOINT: (SECRET,)})
    assert " proved " in (await vera.get(event)).words
    assert " proved " in (await vera.get("/dead-letters/1")).words
    await pool.execute("UPDATE kessai.webhook_archive SET raw = raw || ' '")
    assert " does not match " in (await vera.get(event)).words


async def test_a_console_without_secrets_says_where_signatures_are_proved(
    pool: Pool, open_browser: OpenBrowser
) -> None:
    await TestBooks(pool).apply(incoming(payment()))
    page = await (await open_browser("vera")).get("/events/show?endpoint=siglume&id=evt-1")
    assert "kessai events verify evt-1 --endpoint siglume" in page.words
    assert "Signature" not in page.words


async def test_keys_say_when_they_may_go(pool: Pool, open_browser: OpenBrowser) -> None:
    now = datetime.now(UTC)
    rows = [
        ("siglume", "new", now - timedelta(hours=1), 70),
        ("siglume", "old", now - timedelta(days=9), 900),
        ("shop-b", "only", now - timedelta(days=20), 3),
        ("shop-b", "gone", now - timedelta(days=40), 3),
    ]
    await pool.executemany(
        """
        INSERT INTO kessai.tallies (endpoint, key_fingerprint, at, deliveries, kind, outcome, longest_wait)
        VALUES ($1, $2, $3, $4, 'standard_settled', 'applied', 0.1)
        """,
        rows,
    )
    words = (await (await open_browser("vera")).get("/keys")).words
    assert "70 70 70 In use: keep it." in words
    assert "0 0 900 yes Safe to retire: nothing came under it for 7 days" in words
    assert "0 0 3 Keep it: no other key of this endpoint was used in the last 7 days." in words
    assert "gone" not in words


async def test_a_password_is_changed_by_who_knows_the_old_one(open_browser: OpenBrowser) -> None:
    vera, elsewhere = await open_browser("vera"), await open_browser("vera")
    new = "another horse battery staple"
    for fields, says in (
        ({"old": "wrong", "new": new, "again": new}, "That is not your password."),
        ({"old": PASSWORD, "new": new, "again": f"{new}!"}, "The two new passwords differ."),
        ({"old": PASSWORD, "new": "short", "again": "short"}, "12 to 1024 characters"),
    ):
        page = await vera.fill("/password", fields, on="/password")
        assert (page.status, says in page.words) == (400, True), page.words
        assert new not in page.text
    done = await vera.act("/password", on="/password", old=PASSWORD, new=new, again=new)
    assert done.status == 303
    assert "Your password is changed" in (await vera.get("/")).words
    assert (await elsewhere.get("/")).status == 303
    assert (await elsewhere.log_in("vera")).status == 401
    assert (await elsewhere.log_in("vera", new)).status == 303
