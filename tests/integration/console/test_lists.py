"""Lists of any length: each row once, page by page, in the order promised; a look that found nothing says how far."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

from shared.ledger import events, order_lists
from shared.ledger.database import Pool, connected
from shared.ledger.events import EventFilter
from shared.ledger.order_lists import OrderFilter
from shared.ledger.slices import ORDERS, take_slice
from shared.ledger.transitions import OrderState
from tests.given import incoming, new_order, payment
from tests.integration.console.conftest import OpenBrowser
from tests.integration.ledger.books import TestBooks


async def test_every_row_is_on_one_page_though_others_come_meanwhile(pool: Pool, open_browser: OpenBrowser) -> None:
    books = TestBooks(pool)
    ids = [f"order-{number:03d}" for number in range(120)]
    await books.register(*map(new_order, ids))  # all of one moment: the id alone tells their order
    browser, path, seen = await open_browser("vera"), "/orders?endpoint=siglume", []
    while path:
        page = await browser.get(path)
        seen += re.findall(r'title="(order-\d{3})"', page.text)
        await books.register(new_order(f"later-{len(seen)}"))
        older = re.search(r'rel="next" href="([^"]+)">Older', page.text)
        path = unescape(older[1]) if older else ""
        assert "endpoint=siglume" in path or not path
    assert seen == sorted(ids, reverse=True)


async def test_a_look_that_finds_nothing_near_says_so_and_goes_on_from_there(pool: Pool) -> None:
    books = TestBooks(pool)
    await books.register(*(new_order(f"order-{number:02d}") for number in range(30)))
    await books.cancel("order-02")
    found: list[str] = []
    looks, before = 0, None
    async with connected(pool) as connection:
        while True:
            slice_ = await take_slice(
                connection,
                ORDERS,
                lambda limit, before, down_to: order_lists.newest(
                    connection,
                    OrderFilter(state=OrderState.CANCELLED),
                    limit=limit,
                    before=before,
                    down_to=down_to,
                ),
                limit=5,
                before=before,
                is_bounded=True,
                reach=10,
            )
            found += [each.order.order_id for each in slice_.rows]
            looks += 1
            if slice_.older is None:
                break
            assert slice_.looked_through == 10
            before = slice_.older
    assert (found, looks) == (["order-02"], 4)


async def test_orders_are_listed_and_exported_by_their_payments(pool: Pool, open_browser: OpenBrowser) -> None:
    books = TestBooks(pool)
    await books.register(*(new_order(f"order-{number}") for number in range(60)))
    for number in range(55):
        day = b"2026-10-31T23:59:59" if number else b"2026-11-01T00:00:00"
        await books.apply(payment(f"evt-{number}", f"order-{number}").replace(b"2026-11-20T11:59:58", day))
    browser = await open_browser("vera")
    october = "/orders?by=paid&since=2026-10-31&until=2026-10-31"
    page = await browser.get(october)
    older = re.search(r'rel="next" href="([^"]+)">Older', page.text)
    assert older is not None
    listed = page.text + (await browser.get(unescape(older[1]))).text
    assert set(re.findall(r'title="(order-\d+)"', listed)) == {f"order-{number}" for number in range(1, 55)}
    assert 'value="2026-10-31"' in page.text
    file = await browser.act("/exports/orders", on=october, form="csv", by="paid", since="2026-11-01")
    assert [line.partition(",")[0] for line in file.text.splitlines()] == ["order_id", "order-0"]
    assert (await browser.act("/exports/events", on=october, form="csv", by="paid")).status == 404
    assert (await browser.get("/orders?by=weight")).status == 400


async def test_events_are_found_by_any_filters_together(pool: Pool) -> None:
    books = TestBooks(pool)
    await books.register(*(new_order(f"order-{number}") for number in range(9)))
    now = datetime.now(UTC)
    for number in range(9):
        amount = {"amount_minor": 1900} if number % 3 == 0 else {}
        raw = payment(f"evt-{number}", f"order-{number}", **amount)
        await books.apply(incoming(raw, received_at=now - timedelta(seconds=number)))

    async def found(outcome: str | None = None, kind: str | None = None, endpoint: str | None = None) -> list[str]:
        async with connected(pool) as connection:
            wanted = EventFilter(outcome=outcome, kind=kind, endpoint=endpoint)
            return [event.event_id for event in await events.search(connection, wanted, limit=50)]

    assert await found() == [f"evt-{number}" for number in range(9)]
    assert await found(outcome="review") == ["evt-0", "evt-3", "evt-6"]
    assert await found(outcome="review", kind="standard_settled", endpoint="siglume") == ["evt-0", "evt-3", "evt-6"]
    assert await found(outcome="applied") == ["evt-1", "evt-2", "evt-4", "evt-5", "evt-7", "evt-8"]
    assert await found(kind="unknown") == await found(endpoint="other") == []
