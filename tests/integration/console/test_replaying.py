"""From a group of dead letters to a job, on pages: planned, read, started with a reason, steered, watched."""

import asyncio
import json
import re
from html import unescape
from typing import Any

import pytest
from aiohttp import StreamReader

from ingress.console.replay_progress import ReplayProgress
from shared.broker.envelope import Failure
from shared.ledger import dead_letters
from shared.ledger.books import Outcome
from shared.ledger.database import Pool, connected
from shared.ledger.replays.items import ItemResult, settle_items
from tests.given import envelope, new_order, payment
from tests.integration.console.browser import Browser, Seen
from tests.integration.console.conftest import OpenBrowser
from tests.integration.ledger.books import TestBooks

TERMS = {"why": "INC-7, the lock is mended", "canary": "2", "rate": "50/s", "stop_on_fail": "10%"}


@pytest.fixture
async def books(pool: Pool) -> TestBooks:
    """Six payments that failed in one way, five of them for orders that wait for them."""
    books = TestBooks(pool)
    await books.register(*(new_order(f"order-{number}") for number in range(5)))
    cause = Failure("transient:OrderLockTimeout", "OrderLockTimeout", "held for 2 s")
    letters = [(envelope(payment(f"evt-{number}", f"order-{number}")), cause) for number in range(6)]
    async with connected(pool) as connection:
        await dead_letters.archive(connection, letters)
    return books


async def group_of(books: TestBooks) -> str:
    return str(await books.value("SELECT DISTINCT group_id FROM kessai.dead_letters"))


async def planned(browser: Browser, on: str, **fields: str) -> str:
    """The address of a plan that is made from the page `on`, once it is ready."""
    done = await browser.fill("/replays/plan", fields, on=on)
    assert done.status == 303, done.words
    address = done.headers["Location"]
    for _ in range(200):
        if "Predicting the outcome" not in (await browser.get(address)).words:
            return address
        await asyncio.sleep(0.02)
    raise AssertionError("never planned")


async def test_a_plan_that_would_fail_again_says_so_before_it_is_started(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    async with connected(books.pool) as connection:
        await dead_letters.archive(connection, [(envelope(b"{"), Failure("malformed:not_json", "MalformedEvent"))])
    browser = await open_browser("otto")
    plan = await browser.get(await planned(browser, "/dead-letters", source="dead_letters", everything="yes"))
    assert "1 of 7 would fail again. Solve the cause first" in plan.words
    assert "Which events every one" in plan.words


async def test_a_group_is_planned_read_started_and_steered(books: TestBooks, open_browser: OpenBrowser) -> None:
    browser, group = await open_browser("otto"), await group_of(books)
    listed = await browser.get("/dead-letters")
    assert "6 OrderLockTimeout transient: OrderLockTimeout" in listed.words
    page = f"/dead-letters/groups/{group}"
    assert "Plan a replay of all 6" in (await browser.get(page)).words
    before = await books.everything("orders", "webhook_events", "reviews", "outbox", "dead_letters")

    address = await planned(browser, page, source="dead_letters", group=group)

    plan = await browser.get(address)
    assert "Plan 1 6 events from dead letters planned" in plan.words
    assert "applied 5 the books change review 1 a person must decide" in plan.words
    assert "evt-0 applied order-0 pending → paid" in plan.words
    assert "evt-5 review unknown challenge hash a review: unknown challenge hash" in plan.words
    assert "evt-0" not in (await browser.get(f"{address}?outcome=review")).words
    assert await books.everything(*before) == before

    started = await browser.fill(f"{address}/start", TERMS, on=address)
    assert started.headers["Location"] == address
    job = await browser.get(address)
    assert "Replay 1 of 6 events is started." in job.words
    assert "INC-7, the lock is mended" in job.words
    row = await books.row("SELECT * FROM kessai.replays")
    assert (row["state"], row["canary"], row["rate"], row["stop_on_fail"]) == ("running", 2, 50.0, 0.1)
    for act in ("pause", "resume", "cancel"):
        fields = {"stop_on_fail": "20%"} if act == "resume" else {}
        assert (await browser.fill(f"{address}/{act}", fields, on=address)).status == 303
    assert "replay.cancel" in (await browser.get(address)).words
    assert "Replay 1 is cancelled: only one that is" in await told(browser, f"{address}/pause", address)
    assert [act for act in await books.acts() if act[0] == "user:otto"][1:] == [
        ("user:otto", f"replay.{act}", "replay:1") for act in ("start", "pause", "resume", "cancel")
    ]
    assert "INC-7" in (await browser.get("/replays")).words


async def told(browser: Browser, path: str, page: str, **fields: str) -> str:
    """What a page says after an act that was refused."""
    assert (await browser.fill(path, fields, on=page)).status == 303
    return (await browser.get(page)).words


async def test_wrong_terms_are_said_at_their_fields_and_nothing_typed_is_lost(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    browser = await open_browser("otto")
    address = await planned(browser, "/dead-letters/list", source="dead_letters", everything="yes")
    wrong = {"why": " ", "canary": "many", "rate": "fast <b>", "stop_on_fail": "200%"}
    page = await browser.fill(f"{address}/start", wrong, on=address)
    assert page.status == 400
    assert problems(page) == [
        "Say why in 1 to 4000 characters of text, not blank and without NUL: the reason is kept on record.",
        "Write a number of events, from 0 to 100,000.",
        "'fast <b>' is no rate: write 50/s, 600/m, or none.",
        "'200%' is no share of the events: write 2%, or 0.02.",
    ]
    for typed in ('value="many"', 'value="fast &lt;b&gt;"', 'value="200%"'):
        assert typed in page.text
    page = await browser.fill(f"{address}/start", {**TERMS, "rate": "0"}, on=address)
    assert TERMS["why"] in page.text
    assert await books.value("SELECT state FROM kessai.replays") == "planned"


def problems(page: Seen) -> list[str]:
    return [unescape(text) for text in re.findall(r'<span class="problem"[^>]*>([^<]*)<', page.text)]


async def test_what_fits_nothing_is_not_planned_and_says_so(books: TestBooks, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    for fields, says in (
        ({"source": "dead_letters", "group": "none"}, "No event fits the filter"),
        ({"source": "dead_letters"}, "No filter"),
        ({"source": "elsewhere", "group": "x"}, "names no events"),
    ):
        answer = await browser.fill("/replays/plan", fields, on="/dead-letters")
        page = await browser.get(answer.headers["Location"])
        assert says in page.words
        assert "Nothing was planned." in page.words
    assert await books.value("SELECT count(*) FROM kessai.replays") == 0


async def test_a_plan_that_dies_is_shown_as_cancelled(
    books: TestBooks, open_browser: OpenBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("shared.ledger.replays.predict._predict_page", broken)
    browser = await open_browser("otto")
    address = await planned(browser, "/dead-letters", source="dead_letters", group=await group_of(books))
    page = await browser.get(address)
    assert "The plan was not completed: plan it again." in page.words
    assert "cancelled" in page.words
    assert "Start it" not in page.words


async def test_one_event_and_a_family_of_reviews_are_planned_from_their_own_pages(
    books: TestBooks, open_browser: OpenBrowser
) -> None:
    await books.apply(payment("evt-odd", "order-0", amount_minor=1))
    browser = await open_browser("otto")
    event = await browser.get("/events/show?endpoint=siglume&id=evt-0")
    assert 'name="source" value="dead_letters"' in event.text
    assert 'name="source" value="archive"' in (await browser.get("/events/show?endpoint=siglume&id=evt-odd")).text
    address = await planned(browser, "/", source="dead_letters", event_id="evt-0", endpoint="siglume")
    assert "1 event from dead letters" in (await browser.get(address)).words
    assert "Process all of them again" in (await browser.get("/reviews?reason=amount_mismatch")).words
    assert "Process all of them again" not in (await browser.get("/reviews")).words
    address = await planned(browser, "/", source="reviews", reason="amount_mismatch")
    assert "1 event from reviews" in (await browser.get(address)).words


async def test_progress_comes_as_it_goes_and_ends_with_the_job(books: TestBooks, open_browser: OpenBrowser) -> None:
    browser, vera = await open_browser("otto"), await open_browser("vera")
    address = await planned(browser, "/dead-letters", source="dead_letters", group=await group_of(books))
    await browser.fill(f"{address}/start", TERMS, on=address)
    async with vera.client.get(f"{address}/progress") as stream, asyncio.timeout(20):
        assert stream.headers["Content-Type"] == "text/event-stream"
        first = await message(stream.content)
        assert (first["state"], first["done"], first["total"], first["is_over"]) == ("running", 0, 6, False)
        async with connected(books.pool) as connection:
            await settle_items(connection, [ItemResult(1, item, Outcome.APPLIED) for item in (1, 2, 3)])
        await books.rows("UPDATE kessai.replays SET next_item = 4 RETURNING state")
        while (now := await message(stream.content))["done"] == 0:
            pass
        assert (now["done"], now["texts"]["came-applied"]) == (3, "3")
        await browser.act(f"{address}/pause", on=address)
        while not (now := await message(stream.content))["is_over"]:
            pass
        assert now["state"] == "paused"
        assert await stream.content.read() == b""


async def message(stream: StreamReader) -> dict[str, Any]:
    """The next server-sent event."""
    lines = []
    while (line := await stream.readline()) != b"\n":
        assert line, "the stream ended"
        lines.append(line)
    told: dict[str, Any] = json.loads(lines[0].removeprefix(b"data: "))
    return told


async def test_many_who_watch_cost_one_look_a_second(books: TestBooks, pool: Pool, open_browser: OpenBrowser) -> None:
    browser = await open_browser("otto")
    await planned(browser, "/dead-letters", source="dead_letters", group=await group_of(books))
    now = 0.0
    watched = ReplayProgress(pool, clock=lambda: now)
    first = await watched.read(1)
    assert await watched.read(1) is first
    now = 1.0
    assert await watched.read(1) is not first
