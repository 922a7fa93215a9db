"""Every page: what it shows, that hostile text stays text, and what every response carries whatever became of it."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Final
from urllib.parse import quote

import pytest

from ingress.console.site import HEADERS, SECTIONS
from shared.ledger.database import Pool
from tests.integration.console.browser import Browser
from tests.integration.console.conftest import OpenBrowser
from tests.integration.console.furnished import HOSTILE, IMAGE, SCRIPT, furnish

PATHS: Final = (
    *("/", "/?range=24h", "/?range=7d&refresh=on", "/orders", "/orders?state=cancelled", "/orders?endpoint=nowhere"),
    *(f"/orders/show?id={quote(name, safe='')}" for name in ("order-2026-00001", "order-usd", "../..", *HOSTILE)),
    *("/events", "/events?outcome=review", "/events?kind=unknown", "/events?outcome=dead_letter&kind=unread"),
    *(f"/events/show?endpoint=siglume&id={quote(f'evt-{name}', safe='')}" for name in ("usage", *HOSTILE)),
    *("/reviews", "/reviews?state=any&queue=mismatch", "/reviews?reason=amount_mismatch", "/reviews?state=closed"),
    *(f"/reviews/{number}" for number in range(1, 9)),
    *("/dead-letters", "/dead-letters?state=any", "/dead-letters/list?state=any"),
    *("/dead-letters/list", "/dead-letters/list?reason=delivery_limit", "/dead-letters/list?state=any&endpoint=none"),
    *("/replays", "/replays/1", "/replays/2?outcome=applied", "/keys", "/password"),
    *(f"/dead-letters/{number}" for number in range(1, 7)),
    *("/audit", "/audit?show=everything", "/users", f"/audit?subject={quote(SCRIPT, safe='')}"),
    *(f"/find?q={quote(name, safe='')}" for name in ("nothing", "1", IMAGE + "x")),
)
FAILURES: Final = (
    *(
        (path, 404)
        for path in (
            "/nowhere",
            "/orders/show?id=none",
            "/reviews/999",
            "/reviews/x",
            f"/reviews/{'9' * 30}",
            "/replays/9",
        )
    ),
    *(
        (path, 400)
        for path in ("/orders?before=%ff", "/orders?before=W10", "/orders?state=odd", "/events?endpoint=%00")
    ),
)


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def assert_harmless(text: str) -> None:
    for tag, attributes in Elements(text).tags:
        assert tag not in {"img", "iframe", "object", "embed", "style", "base"}, (tag, attributes)
        assert tag != "script" or re.fullmatch(r"/static/[0-9a-f]{16}/console\.js", attributes["src"] or ""), attributes
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        for name in ("href", "src", "action"):
            assert (attributes.get(name) or "/").startswith(("/", "#")) or attributes[name] == "", (tag, attributes)


@pytest.fixture
async def ada(pool: Pool, open_browser: OpenBrowser) -> Browser:
    """An admin's browser, with furnished books."""
    await furnish(pool)
    return await open_browser("ada")


async def test_hostile_text_is_text_on_every_page(ada: Browser) -> None:
    shown = ""
    for path in PATHS:
        page = await ada.get(path)
        assert page.status in {200, 404}, (path, page.words)
        assert_harmless(page.text)
        assert all(page.headers[name] == value for name, value in HEADERS.items()), path
        assert page.headers["Cache-Control"] == "no-store"
        assert "None" not in re.sub("None needed|None in this time", "", page.words), (path, page.words)
        shown += page.words
    assert all(text in shown for text in HOSTILE)


async def test_every_page_can_be_read_by_its_structure(ada: Browser) -> None:
    for path in (
        "/",
        "/orders",
        "/orders/show?id=order-usd",
        "/reviews/1",
        "/dead-letters",
        "/replays/2",
        "/users",
        "/audit",
    ):
        text = (await ada.get(path)).text
        tags = Elements(text).tags
        headings = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
        assert headings.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(headings)), path
        ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
        assert len(ids) == len(set(ids)), path
        assert text.index('href="#main"') < text.index("<header")
        assert [attributes for tag, attributes in tags if attributes.get("aria-current") == "page"] != []
        for tag, attributes in tags:
            assert tag != "th" or attributes.get("scope"), path
    charts = [
        attributes for tag, attributes in Elements((await ada.get("/")).text).tags if attributes.get("role") == "img"
    ]
    assert len(charts) == 3
    assert all("-description" in str(chart["aria-labelledby"]) for chart in charts)


async def test_bytes_that_cannot_be_seen_are_shown_as_codes(ada: Browser) -> None:
    page = await ada.get("/dead-letters/6")
    odd = page if "\\x00" in page.words.split("Body,")[1].split("codes.")[1] else await ada.get("/dead-letters/5")
    for code in ("\\x00", "\\x1b", "\\u202e", "\\xff", "\\xfe"):
        assert f'<span class="strange">{code}</span>' in odd.text
    assert "\u202e" not in odd.text


async def test_a_review_marks_where_event_and_order_disagree(ada: Browser) -> None:
    page = await ada.get("/reviews/1")
    assert "1 field differs between the event and the order." in page.words
    assert "amount minor 1900 = 1,900 JPY 1200 = 1,200 JPY ≠ differs" in page.words
    assert "currency JPY JPY = same" in page.words


async def test_an_id_of_any_kind_leads_to_its_thing(ada: Browser) -> None:
    for text, address in (
        ("order-usd", "/orders/show?id=order-usd"),
        ("evt-usage", "/events/show?endpoint=siglume&id=evt-usage"),
        (SCRIPT, f"/orders/show?id={quote(SCRIPT, safe='')}"),
        ("12", "/dead-letters/12"),
    ):
        assert (await ada.get(f"/find?q={quote(text, safe='')}")).headers.get("Location") == address
    both = await ada.get("/find?q=1")
    assert "Review 1 open" in both.words
    assert "Dead letter 1 open" in both.words


async def test_a_failure_is_a_page_in_words(open_browser: OpenBrowser) -> None:
    browser = await open_browser("vera")
    for path, status in FAILURES:
        page = await browser.get(path)
        assert page.status == status, path
        assert_harmless(page.text)
        assert page.headers["Content-Type"].startswith("text/html")
        assert "Traceback" not in page.text
        assert status != 404 or "vera" in page.words


async def test_headers_are_on_answers_of_every_kind(open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    css = re.findall(r"/static/[^\"]+", (await browser.get("/")).text)[0]
    answers = [
        *[await browser.get(path) for path in ("/", "/nowhere", "/orders/cancel", css, "/static/0/none.css", "/users")],
        *[await browser.get("/", method=method) for method in ("PUT", "TRACE", "HEAD")],
        await browser.post("/orders/cancel"),
        await browser.post("/orders/cancel", id="x" * 100_000),
        await (await open_browser()).get("/"),
    ]
    assert [answer.status for answer in answers] == [200, 404, 405, 200, 404, 403, 405, 405, 200, 403, 413, 303]
    for answer in answers:
        assert all(answer.headers[name] == value for name, value in HEADERS.items()), answer
    assert "immutable" in answers[3].headers["Cache-Control"]
    assert answers[2].headers["Allow"] == "POST"


async def test_a_fault_of_ours_is_a_page_without_its_traceback(
    open_browser: OpenBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr("shared.ledger.order_lists.newest", broken)
    page = await (await open_browser("otto")).get("/orders")
    assert (page.status, "Something went wrong in Kessai itself" in page.words) == (500, True)
    assert "secret of the house" not in page.text
    assert page.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


async def test_books_of_another_version_are_a_page_that_says_what_to_run(pool: Pool, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    await pool.execute("ALTER TABLE kessai.sessions RENAME TO away")
    page = await browser.get("/orders")
    assert (page.status, "Run kessai migrate" in page.words) == (503, True)
    assert page.headers["Retry-After"]
    assert "SELECT" not in page.text


async def test_every_section_of_the_menu_opens(open_browser: OpenBrowser) -> None:
    browser = await open_browser("ada")
    for section in SECTIONS:
        if section.is_in_menu:
            page = await browser.get(section.path)
            assert (page.status, section.title in page.words) == (200, True)


async def test_empty_books_say_what_to_do(open_browser: OpenBrowser) -> None:
    browser = await open_browser("vera")
    assert "kessai orders add" in (await browser.get("/orders")).words
    assert "kessai send" in (await browser.get("/events")).words
    assert "No review waits for a decision." in (await browser.get("/reviews")).words
    assert "Nothing needs your attention now." in (await browser.get("/")).words


async def test_without_users_the_login_says_how_to_let_somebody_in(pool: Pool, open_browser: OpenBrowser) -> None:
    await pool.execute("DELETE FROM kessai.users")
    assert "kessai users add NAME --role admin" in (await (await open_browser()).get("/login")).words
