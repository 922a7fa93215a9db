"""Statements over a real socket: pages walked, kept and gone on from, exports in constant memory."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
import psutil
import pytest
from aiohttp import web

from shared.sdrp.api.clients import BuyerClient, ProviderClient
from shared.sdrp.api.errors import PagesInCircles, SiglumeApiError, TruncatedCsv, Unreachable, UnusableAnswer
from shared.sdrp.api.retries import Patience
from shared.sdrp.api.transport import Transport
from shared.sdrp.api.usage_csv import COLUMNS
from tests.integration.platform_api.platform import (
    Handler,
    Platform,
    by_cursor,
    hang_up,
    raw,
    refusal,
    slow,
    streamed,
    transport,
)
from tests.platform_answers import batch, page, usage_event
from tests.unit.sdrp.api.test_usage_csv import written

AT_LEAST = 5_000
"""Rows a second through the paging iterator, the server in the same process."""


async def test_rows_come_from_all_pages(there: Platform, connected: Transport) -> None:
    events = [usage_event(n) for n in range(7)]
    there.answers(
        by_cursor({None: page(events[:3], "c1"), "c1": page(events[3:6], "c 2/+"), "c 2/+": page(events[6:])})
    )
    found = ProviderClient(connected).provider_usage_events(plan_type="micro", status="settled")
    assert [event.metered_usage_id async for event in found] == [event["metered_usage_id"] for event in events]
    assert [one.raw_path.partition("?")[2] for one in there.received] == [
        "plan_type=micro&status=settled&limit=500",
        "plan_type=micro&status=settled&limit=500&cursor=c1",
        "plan_type=micro&status=settled&limit=500&cursor=c+2%2F%2B",
    ]


async def test_a_caller_keeps_the_cursor_and_goes_on_later(there: Platform, connected: Transport) -> None:
    pages = {None: page([batch(1)], "c1"), "c1": page([batch(2)], "c2"), "c2": page([batch(3)])}
    there.answers(by_cursor(pages))
    provider = ProviderClient(connected)
    kept = (await provider.list_provider_settlement_batches(limit=1)).next_cursor
    found = [
        (b.settlement_batch_id, p.next_cursor)
        async for p in provider.provider_settlement_batch_pages(cursor=kept)
        for b in p.items
    ]
    assert found == [("msb_2", "c2"), ("msb_3", None)]
    assert [b.settlement_batch_id async for b in provider.provider_settlement_batches()] == ["msb_1", "msb_2", "msb_3"]
    mine = BuyerClient(connected).buyer_settlement_batches(token_symbol="JPYC")
    assert [b.settlement_batch_id async for b in mine] == ["msb_1", "msb_2", "msb_3"]


async def test_a_page_that_fails_in_the_middle_is_asked_for_again(there: Platform, connected: Transport) -> None:
    good = by_cursor({None: page([usage_event(1)], "c1"), "c1": page([usage_event(2)])})
    there.answers(good, refusal(503), hang_up(), good)
    found = [event.metered_usage_id async for event in BuyerClient(connected).buyer_usage_events()]
    assert found == ["mu_00000001", "mu_00000002"]


async def test_pages_that_go_in_circles_end(there: Platform, connected: Transport) -> None:
    first, second = page([usage_event(1)], "c1"), page([usage_event(2)], "c1")
    there.answers(by_cursor({None: first, "c1": second}))
    with pytest.raises(PagesInCircles):
        _ = [event async for event in ProviderClient(connected).provider_usage_events()]
    assert len(there.received) == 2


async def test_a_page_that_is_none_stops_the_walk(there: Platform, connected: Transport) -> None:
    there.answers(by_cursor({None: page([usage_event(1)], "c1"), "c1": {"rows": []}}))
    with pytest.raises(UnusableAnswer, match=r"list_provider_usage_events\.items is missing"):
        _ = [event async for event in ProviderClient(connected).provider_usage_events()]


async def test_an_export_is_read_row_by_row(there: Platform, connected: Transport) -> None:
    body = written(usage_event(n) for n in range(5000))
    there.answers(refusal(503), raw(body, content_type="text/csv"))
    export = ProviderClient(connected).provider_usage_events_csv("msb_1")
    assert len({event.metered_usage_id async for event in export}) == 5000
    assert there.received[1].raw_path == "/v1/sdrp/metered/provider/settlement-batches/msb_1/usage-events.csv"
    assert there.received[1].headers["accept"] == "text/csv"


@pytest.mark.parametrize("length", [None, 1 << 20])
async def test_an_export_that_breaks_off_is_an_error_after_its_rows(
    length: int | None, there: Platform, connected: Transport
) -> None:
    there.answers(hang_up(written([usage_event(1)]), length=length))
    export = ProviderClient(connected).provider_usage_events_csv("msb_1")
    assert (await anext(export)).metered_usage_id == "mu_00000001"
    with pytest.raises(TruncatedCsv, match="broke off"):
        await anext(export)
    assert len(there.received) == 1


async def test_an_export_that_only_seems_whole_is_an_error(there: Platform, connected: Transport) -> None:
    there.answers(raw(written([usage_event(1), usage_event(2)])[:-40], content_type="text/csv"))
    with pytest.raises(TruncatedCsv, match="ends too early"):
        _ = [event async for event in ProviderClient(connected).provider_usage_events_csv("msb_1")]


@pytest.mark.parametrize("answer", [refusal(404, "BATCH_NOT_FOUND"), refusal(302, Location="/x"), raw(b"", status=206)])
async def test_an_export_that_is_refused_is_not_read(answer: Handler, there: Platform, connected: Transport) -> None:
    there.answers(answer)
    with pytest.raises(SiglumeApiError):
        _ = [event async for event in ProviderClient(connected).provider_usage_events_csv("msb_1")]


async def test_an_export_that_stalls_is_an_error(there: Platform) -> None:
    async def stalling() -> AsyncGenerator[bytes, None]:
        yield written([usage_event(1)])
        await asyncio.sleep(30)

    async with transport(there, patience=Patience(attempts=2, attempt=0.3, first_wait=0.01)) as connected:
        there.answers(streamed(stalling(), Content_Type="text/csv"))
        with pytest.raises(TruncatedCsv, match="broke off"):
            _ = [event async for event in ProviderClient(connected).provider_usage_events_csv("msb_1")]
        there.answers(slow(30, raw(b"")))
        with pytest.raises(Unreachable, match="a try took too long"):
            _ = [event async for event in ProviderClient(connected).provider_usage_events_csv("msb_1")]
        assert len(there.received) == 2


async def test_a_reader_that_stops_early_lets_go_of_the_connection(there: Platform, connected: Transport) -> None:
    let_go = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            yield (",".join(COLUMNS) + "\r\n").encode()
            line = written([usage_event(1)]).splitlines(keepends=True)[1]
            while True:
                yield line * 100
        finally:
            let_go.set()

    there.answers(streamed(endless(), Content_Type="text/csv"))
    async with aclosing(ProviderClient(connected).provider_usage_events_csv("msb_1")) as export:
        async for _ in export:
            break
    async with asyncio.timeout(5):
        await let_go.wait()


async def test_an_export_of_any_length_takes_constant_memory(there: Platform, connected: Transport) -> None:
    header, line = written([usage_event(1)]).splitlines(keepends=True)

    async def long() -> AsyncGenerator[bytes, None]:
        yield header
        for _ in range(300):
            yield line * 500

    there.answers(streamed(long(), Content_Type="text/csv"))
    process = psutil.Process()
    gc.collect()
    before, rows, most = process.memory_info().rss, 0, 0
    async for _ in ProviderClient(connected).provider_usage_events_csv("msb_1"):
        rows += 1
        if rows % 10_000 == 0:
            most = max(most, process.memory_info().rss)
    assert rows == 150_000
    assert most - before < 30 << 20


async def test_thousands_of_rows_a_second_come_through_the_paging_iterator(there: Platform) -> None:
    bodies = [
        orjson.dumps({"data": page([usage_event(n * 500 + i) for i in range(500)], f"c{n + 1}" if n < 19 else None)})
        for n in range(20)
    ]

    async def prepared(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("cursor", "c0")[1:])
        return web.Response(body=bodies[number], content_type="application/json")

    there.answers(prepared)
    async with transport(there) as connected:
        began = time.perf_counter()
        rows = 0
        async for _ in ProviderClient(connected).provider_usage_events():
            rows += 1
        rate = rows / (time.perf_counter() - began)
    print(f"{rate:,.0f} rows/s")  # noqa: T201 - the figure
    assert rows == 10_000
    assert rate > AT_LEAST
