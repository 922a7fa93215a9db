"""An act is done by a person with the role, from a page of the console's own, and is written down."""

import pytest

from shared.ledger.database import Pool
from tests.given import new_order
from tests.integration.console.conftest import OpenBrowser
from tests.integration.console.furnished import PASSWORD
from tests.integration.ledger.books import TestBooks

PAGE = "/orders/show?id=order-1"
CANCEL = "/orders/cancel"


@pytest.fixture
async def books(pool: Pool) -> TestBooks:
    """With one pending order."""
    books = TestBooks(pool)
    await books.register(new_order())
    return books


async def test_an_operator_cancels_an_order_and_the_audit_names_them(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    browser = await open_browser("otto")
    done = await browser.act(CANCEL, on=PAGE, id="order-1")
    assert (done.status, done.headers["Location"]) == (303, PAGE)
    assert "Order order-1 is cancelled." in (await browser.get(PAGE)).words
    assert "Order order-1 is cancelled." not in (await browser.get(PAGE)).words  # told once
    assert (await books.order()).state == "cancelled"
    row = await books.row("SELECT actor, action, subject FROM kessai.audit WHERE to_state = 'cancelled'")
    assert tuple(row) == ("user:otto", "order.moved", "order-1")


async def test_an_act_that_comes_too_late_says_so_and_changes_nothing(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    browser = await open_browser("otto")
    token = (await browser.get(PAGE)).form_token
    await books.rows("UPDATE kessai.orders SET state = 'paid'")
    await browser.post(CANCEL, form_token=token, id="order-1")
    assert "is paid: only a pending order can be cancelled" in (await browser.get(PAGE)).words
    assert (await books.order()).state == "paid"


async def test_a_form_without_its_token_or_with_another_does_nothing(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    browser, ada = await open_browser("otto"), await open_browser("ada")
    theirs = (await ada.get("/")).form_token
    assert (await browser.post(CANCEL, id="order-1")).status == 403
    for token in ("", "f" * 64, theirs, "ü"):
        refused = await browser.post(CANCEL, id="order-1", form_token=token)
        assert (refused.status, "out of date" in refused.words) == (403, True), token
    assert (await books.order()).state == "pending"


async def test_a_form_that_another_site_sends_does_nothing(books: TestBooks, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    for header, value in (
        *(("Origin", "https://evil.example"), ("Origin", "null"), ("Origin", "")),
        *(("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")),
    ):
        refused = await browser.act(CANCEL, on=PAGE, headers={header: value}, id="order-1")
        assert (refused.status, "Another site" in refused.words) == (403, True), (header, value)
        login = await browser.act("/login", on=PAGE, headers={header: value}, name="otto", password=PASSWORD)
        assert login.status == 403
    assert (await books.order()).state == "pending"


async def test_a_form_of_our_own_page_is_taken_with_all_that_a_browser_says(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    browser = await open_browser("otto")
    headers = {"Origin": browser.origin, "Sec-Fetch-Site": "same-origin"}
    assert (await browser.act(CANCEL, on=PAGE, headers=headers, id="order-1")).status == 303
    assert (await books.order()).state == "cancelled"


async def test_only_forms_act(books: TestBooks, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    token = (await browser.get(PAGE)).form_token
    async with browser.client.post(CANCEL, json={"form_token": token, "id": "order-1"}) as answer:
        assert answer.status == 415
    assert (await browser.get(f"{CANCEL}?id=order-1&form_token={token}")).status == 405
    assert (await books.order()).state == "pending"


async def test_a_viewer_sees_the_button_and_why_it_is_not_theirs(books: TestBooks, open_browser: OpenBrowser) -> None:
    browser = await open_browser("vera")
    page = await browser.get(PAGE)
    assert "This needs the role operator; your role is viewer." in page.words
    assert " disabled>Cancel the order" in page.text
    refused = await browser.post(CANCEL, form_token=page.form_token, id="order-1")
    assert (refused.status, "needs the role operator" in refused.words) == (403, True)
    assert (await books.order()).state == "pending"


async def test_users_are_an_admins_affair(pool: Pool, open_browser: OpenBrowser) -> None:
    for name in ("vera", "otto"):
        browser = await open_browser(name)
        assert "/users" not in (await browser.get("/")).text
        assert (await browser.get("/users")).status == 403
        for path in ("/users/role", "/users/disable", "/users/enable"):
            assert (await browser.act(path, name=name, role="admin")).status == 403
    assert await pool.fetchval("SELECT count(*) FROM kessai.users WHERE role = 'admin'") == 1


async def test_a_role_counts_from_the_next_page_on(pool: Pool, open_browser: OpenBrowser) -> None:
    ada, vera = await open_browser("ada"), await open_browser("vera")
    await ada.act("/users/role", on="/users", name="vera", role="operator")
    assert "vera is operator, was viewer." in (await ada.get("/users")).words
    assert "vera operator" in (await vera.get("/")).words
    row = await pool.fetchrow("SELECT * FROM kessai.audit WHERE action = 'user.role_set'")
    assert row is not None
    assert (row["actor"], row["subject"], row["from_state"], row["to_state"]) == (
        *("user:ada", "user:vera", "viewer", "operator"),
    )


async def test_who_is_disabled_is_out_at_once_and_can_be_let_in_again(open_browser: OpenBrowser) -> None:
    ada, vera = await open_browser("ada"), await open_browser("vera")
    await ada.act("/users/disable", on="/users", name="vera")
    assert (await vera.get("/")).status == 303
    assert (await vera.log_in("vera")).status == 401
    await ada.act("/users/enable", on="/users", name="vera")
    assert (await vera.log_in("vera")).status == 303


async def test_admins_cannot_lock_themselves_out(pool: Pool, open_browser: OpenBrowser) -> None:
    ada = await open_browser("ada")
    await ada.act("/users/role", on="/users", name="ada", role="viewer")
    await ada.act("/users/disable", on="/users", name="ada")
    assert "Another admin must change your own role" in (await ada.get("/users")).words
    row = await pool.fetchrow("SELECT role, disabled_at FROM kessai.users WHERE name = 'ada'")
    assert row is not None
    assert tuple(row) == ("admin", None)
