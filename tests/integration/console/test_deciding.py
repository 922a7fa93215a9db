"""A review is decided on a page: seen as it is, by one person at a time, or by two; nothing typed is lost."""

import re

import pytest

from shared.ledger.database import Pool
from tests.given import challenge_hash, new_order, payment
from tests.integration.console.conftest import OpenBrowser
from tests.integration.ledger.books import TestBooks

PAGE = "/reviews/1"
DECIDE = "/reviews/1/decide"


@pytest.fixture
async def books(pool: Pool) -> TestBooks:
    """Review 1: 1900 instead of 1200 yen came for order-1. Review 2: a payment that no order is known for."""
    books = TestBooks(pool)
    await books.register(new_order(), new_order("order-7"))
    await books.apply(payment("evt-1", amount_minor=1900))
    await books.apply(payment("evt-2", "order-unknown"))
    return books


async def test_each_choice_says_what_it_will_do(books: TestBooks, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    odd = (await browser.get(PAGE)).words
    assert "Accept it although it does not match order-1 becomes paid despite the amount mismatch." in odd
    assert "Reject it It is closed without effect: no order changes" in odd
    assert "Process it again Today's rules give the same result, so it would stay as it is." in odd
    lost = (await browser.get("/reviews/2")).words
    assert "Link it to an order The payment counts for the order that you name" in lost
    assert "Id of the order to link it to" in lost


async def test_a_mismatch_is_accepted_and_the_order_is_paid(books: TestBooks, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    done = await browser.act(DECIDE, on=PAGE, version="1", resolution="accept-mismatch", why="the buyer rounded up")
    assert (done.status, done.headers["Location"]) == (303, PAGE)
    page = (await browser.get(PAGE)).words
    assert "Closed: accept-mismatch; its event is applied. order-1 is paid." in page
    assert "the buyer rounded up" in page
    assert (await books.order()).state == "paid"
    assert ("user:otto", "review.resolved", "review:1") in await books.acts()


async def test_a_payment_that_was_rejected_before_counts_when_the_box_is_ticked(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    await books.rows("UPDATE kessai.orders SET rejected_challenges = ARRAY[$1]", challenge_hash("order-1"))
    browser = await open_browser("otto")
    page = await browser.get(PAGE)
    assert "the money may have been sent back. Tick “although it does not match”" in page.words
    assert 'name="accept_mismatch"' in page.text
    decision = {"version": "1", "resolution": "accept-mismatch", "why": "it was not sent back"}
    assert (await browser.fill(DECIDE, decision, on=PAGE)).status == 409
    assert (await browser.fill(DECIDE, {**decision, "accept_mismatch": "yes"}, on=PAGE)).status == 303
    assert (await books.order()).state == "paid"


async def test_a_payment_is_linked_to_the_order_that_is_named(books: TestBooks, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    form = {"version": "1", "resolution": "link-order", "why": "ticket 11"}
    missing = await browser.fill("/reviews/2/decide", form, on="/reviews/2")
    assert (missing.status, "Enter the id of the order that the payment is for." in missing.words) == (400, True)
    wrong = await browser.fill("/reviews/2/decide", {**form, "order_id": "order-77"}, on="/reviews/2")
    assert (wrong.status, "There is no order order-77" in wrong.words) == (400, True)
    assert 'value="order-77"' in wrong.text
    assert "ticket 11</textarea>" in wrong.text
    assert re.search(r'value="link-order" required checked', wrong.text)
    assert (await browser.fill("/reviews/2/decide", {**form, "order_id": "order-7"}, on="/reviews/2")).status == 303
    assert (await books.order("order-7")).state == "paid"


async def test_a_decision_without_a_reason_or_a_choice_is_given_back(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    browser = await open_browser("otto")
    page = await browser.act(DECIDE, on=PAGE, version="1", resolution="reject", why=" ")
    assert (page.status, "Give a reason; it is kept with the review." in page.words) == (400, True)
    assert re.search(r'value="reject" required checked', page.text)
    page = await browser.act(DECIDE, on=PAGE, version="1", why="because")
    assert (page.status, "Choose a decision." in page.words) == (400, True)
    assert "because</textarea>" in page.text
    assert (await browser.act(DECIDE, on=PAGE, resolution="reject", why="x")).status == 400
    assert [state for _, _, state in await books.reviews()] == ["open", "open"]


async def test_who_saw_an_older_version_is_told_who_did_what_and_sees_it_as_it_stands(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    otto, ada = await open_browser("otto"), await open_browser("ada")
    token = (await otto.get(PAGE)).form_token
    await ada.act("/reviews/1/claim", on=PAGE, version="1")
    late = await otto.post(DECIDE, form_token=token, version="1", resolution="reject", why="typed for minutes")
    assert late.status == 409
    assert "Nothing was changed by you. Review 1 was claimed by user:ada at" in late.words
    assert "It is assigned to user:ada" in late.words
    assert "typed for minutes</textarea>" in late.text
    await ada.act(DECIDE, on=PAGE, version="2", resolution="reject", why="a test payment")
    late = await otto.post("/reviews/1/claim", form_token=token, version="2", take_over="yes")
    assert "was closed by user:ada with reject at" in late.words
    assert [state for _, _, state in await books.reviews()] == ["closed", "open"]


async def test_one_person_at_a_time_works_on_it(books: TestBooks, open_browser: OpenBrowser) -> None:
    otto, ada = await open_browser("otto"), await open_browser("ada")
    await ada.act("/reviews/1/claim", on=PAGE, version="1")
    page = await otto.get(PAGE)
    assert "It is assigned to user:ada: take it over first." in page.words
    refused = await otto.act(DECIDE, on=PAGE, version="2", resolution="reject", why="mine")
    assert (refused.status, "is assigned to user:ada. Ask them to release it" in refused.words) == (409, True)
    assert (await otto.act("/reviews/1/claim", on=PAGE, version="2")).status == 409
    assert (await otto.act("/reviews/1/claim", on=PAGE, version="2", take_over="yes")).status == 303
    assert "1" in re.findall(r'/reviews/(\d)"', (await otto.get("/reviews?assignee=mine")).text)
    assert (await otto.act("/reviews/1/release", on=PAGE, version="3")).status == 303
    assert "It is assigned to nobody." in (await otto.get(PAGE)).words
    await otto.act("/reviews/1/note", on=PAGE, body="asked <the> buyer")
    page = await ada.get(PAGE)
    assert "asked &lt;the&gt; buyer" in page.text
    assert (await otto.act("/reviews/1/note", on=PAGE, body=" ")).status == 400


async def test_where_two_are_asked_the_second_must_be_another(books: TestBooks, open_browser: OpenBrowser) -> None:
    otto, ada = await open_browser("otto", approvals=2), await open_browser("ada")
    assert "A second person must approve it first." in (await otto.get(PAGE)).words
    form = {"resolution": "accept-mismatch", "why": "it is fine"}
    await otto.fill(DECIDE, {**form, "version": "1"}, on=PAGE)
    page = await otto.get(PAGE)
    assert "Proposed: accept-mismatch" in page.words
    assert "You proposed it, so a second person must approve it." in page.words
    assert (await otto.act("/reviews/1/approve", on=PAGE, version="2")).status == 409
    assert (await books.order()).state == "pending"
    assert (await ada.act("/reviews/1/withdraw", on=PAGE, version="2")).status == 303
    await otto.fill(DECIDE, {**form, "version": "3"}, on=PAGE)
    assert "it is fine" in (await ada.get(PAGE)).words
    assert (await ada.act("/reviews/1/approve", on=PAGE, version="4")).status == 303
    assert (await books.order()).state == "paid"


async def test_what_the_books_do_not_allow_is_said_and_nothing_is_lost(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    await books.apply(payment("evt-3", "order-7"))
    browser = await open_browser("otto")
    form = {"version": "1", "resolution": "link-order", "order_id": "order-7", "why": "ticket 12"}
    refused = await browser.fill("/reviews/2/decide", form, on="/reviews/2")
    assert refused.status == 409
    assert "order 'order-7' is paid" in refused.words
    assert "ticket 12</textarea>" in refused.text
    assert [state for _, _, state in await books.reviews()] == ["open", "open"]
