"""A list is walked page by page: every row once, whatever is added meanwhile; its items are those of the commands."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from aiohttp.test_utils import TestServer

from shared.broker.envelope import Failure
from shared.ledger import api_tokens, dead_letters, notes
from shared.ledger.database import connected, open_pool
from tests.conftest import WEBHOOK_SECRET
from tests.given import NOW, envelope, incoming, new_order, payment
from tests.integration.api.client import ApiClient, console
from tests.integration.api.conftest import Connect
from tests.integration.cli.conftest import Terminal
from tests.integration.console.furnished import let_in
from tests.integration.ledger.books import TestBooks

FAILED = Failure("handler_error", "KeyError")
ROWS = 23


async def add_orders(books: TestBooks, first: int, rows: int) -> None:
    """All of one moment: the id alone tells their order."""
    await books.register(*(new_order(f"order-{number:03d}") for number in range(first, first + rows)))


async def add_events(books: TestBooks, first: int, rows: int) -> None:
    """Each opens a review; four share a moment."""
    for number in range(first, first + rows):
        at = NOW + timedelta(seconds=number // 4)
        await books.apply(incoming(payment(f"evt-{number:03d}", f"none-{number}"), received_at=at))


async def add_letters(books: TestBooks, first: int, rows: int) -> None:
    letters = [
        (envelope(payment(f"dead-{number}"), received_at=NOW + timedelta(seconds=number // 4)), FAILED)
        for number in range(first, first + rows)
    ]
    async with connected(books.pool) as connection:
        await dead_letters.archive(connection, letters)


async def add_acts(books: TestBooks, first: int, rows: int) -> None:
    await books.register(new_order("noted"))
    async with connected(books.pool) as connection:
        for number in range(first, first + rows):
            await notes.add(connection, notes.NoteThing.ORDER, "noted", f"note {number}", author="test")


async def add_replays(books: TestBooks, first: int, rows: int) -> None:
    await books.rows(
        """
        INSERT INTO kessai.replays (source, filter, planned_by)
        SELECT 'archive', '{}', 'test' FROM generate_series(1, $1::int)
        """,
        rows,
    )


Add = Callable[[TestBooks, int, int], Awaitable[None]]


@pytest.mark.parametrize(
    ("path", "key", "add"),
    [
        ("/orders", "order_id", add_orders),
        ("/events", "event_id", add_events),
        ("/reviews", "review_id", add_events),
        ("/dead-letters", "dead_letter_id", add_letters),
        ("/audit", "audit_id", add_acts),
        ("/replays", "plan_id", add_replays),
    ],
)
async def test_every_row_comes_once_while_others_are_added(
    books: TestBooks, connect: Connect, path: str, key: str, add: Add
) -> None:
    client = await connect("vera")
    await add(books, 0, ROWS)
    before = [item[key] for item in await client.walk(path, limit=500)]
    assert len(set(before)) == len(before) >= ROWS
    seen: list[object] = []
    cursor: str | None = None
    for step in range(100):
        page = await client.get(path, limit=4, **({"cursor": cursor} if cursor else {}))
        seen += [item[key] for item in page.items]
        await add(books, 1000 + 4 * step, 4)
        cursor = page.json["next_cursor"]
        if cursor is None:
            break
    assert seen == before


async def test_orders_follow_their_payments_when_asked_to(books: TestBooks, connect: Connect) -> None:
    """As an accountant reads them: a month's takings, whenever the orders were registered."""
    client = await connect("vera")
    await add_orders(books, 0, 6)
    for number, day in ((4, "2026-10-31T23:59:59"), (1, "2026-11-01T00:00:00"), (3, "2026-11-01T00:00:00")):
        raw = payment(f"evt-{number}", f"order-{number:03d}")
        await books.apply(raw.replace(b"2026-11-20T11:59:58", day.encode()))
    walked = await client.walk("/orders", limit=1, by="paid")
    assert [order["order_id"] for order in walked] == ["order-003", "order-001", "order-004"]
    november = {"by": "paid", "since": "2026-11-01T00:00:00Z", "until": "2026-12-01T00:00:00Z"}
    assert len(await client.walk("/orders", limit=1, state="paid", **november)) == 2
    told = (await client.get("/exports/orders.csv", **november)).raw.decode().splitlines()
    assert [row.partition(",")[0] for row in told] == ["order_id", "order-001", "order-003"]
    refused = await client.get("/exports/events.csv", by="paid")
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "by")


async def test_the_events_of_a_replay_are_walked_in_their_order(books: TestBooks, connect: Connect) -> None:
    await add_letters(books, 0, ROWS)
    client = await connect("otto")
    plan_id = (await client.post("/replays", all=True)).json["plan_id"]
    walked = await client.walk(f"/replays/{plan_id}/events", limit=5)
    assert [item["item"] for item in walked] == list(range(1, ROWS + 1))
    other = await client.post("/replays", groups=[(await client.get("/dead-letters")).items[0]["group_id"]])
    foreign = (await client.get(f"/replays/{plan_id}/events", limit=5)).json["next_cursor"]
    refused = await client.get(f"/replays/{other.json['plan_id']}/events", cursor=foreign)
    assert refused.problem == "invalid"


async def test_a_list_is_narrowed_by_any_filters_together(books: TestBooks, connect: Connect) -> None:
    client = await connect("vera")
    await add_orders(books, 0, 3)
    await books.cancel("order-001")
    await add_events(books, 0, 8)
    await add_letters(books, 0, 8)
    assert [order["order_id"] for order in await client.walk("/orders", limit=1, state="cancelled")] == ["order-001"]
    span = {"since": "2026-11-20T21:00:01.123456+09:00", "until": "2026-11-20T12:00:02Z"}
    named = await client.get("/events", reason="unknown_challenge_hash", outcome="review", **span)
    assert [event["event_id"] for event in named.items] == ["evt-007", "evt-006", "evt-005", "evt-004"]
    reviews = await client.walk("/reviews", limit=3, queue="unknown", state="open", reason="unknown_challenge_hash")
    assert len(reviews) == 8
    holding = await client.get("/dead-letters", text='"dead-3"', state="open", kind="standard_settled")
    assert [letter["event_id"] for letter in holding.items] == ["dead-3"]
    groups = (await client.get("/dead-letter-groups", state="open")).items
    assert [(group["count"], group["error"]) for group in groups] == [(8, "KeyError")]


def test_a_thing_has_the_fields_that_the_commands_tell(
    database_url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and values; of dead letters and reviews whole, with bytes and evidence."""
    paths = ["/orders/order-000", "/orders/order-000/timeline", "/events/siglume/evt-000", "/reviews/1"]
    paths += ["/dead-letters/1", "/orders", "/events", "/reviews", "/dead-letters", "/dead-letter-groups?state=open"]

    async def ask() -> dict[str, object]:
        pool = await open_pool(database_url, application="test", size=2, statement_timeout=20.0, keys_only=True)
        await let_in(pool)
        books = TestBooks(pool)
        await add_orders(books, 0, 2)
        await add_events(books, 0, 2)
        await add_letters(books, 0, 2)
        async with connected(pool) as connection:
            token = await api_tokens.add(connection, "vera", "test", actor="test")
        server = TestServer(console(pool).app)
        await server.start_server()
        client = ApiClient(server, token)
        told = {path: (await client.get(path)).json for path in paths}
        await client.session.close()
        await server.close()
        pool.terminate()
        return {path: each.get("items", each) for path, each in told.items()}

    told = asyncio.run(ask())
    kessai = Terminal(
        {"KESSAI_DATABASE_URL": database_url, "SIGLUME_WEBHOOK_SECRET": WEBHOOK_SECRET}, capfd, monkeypatch
    )
    commands = [
        "orders show order-000",
        "orders timeline order-000",
        "events show evt-000",
        "reviews show 1",
        "dead-letters show 1",
        *("orders list", "events list", "reviews list", "dead-letters list", "dead-letters groups"),
    ]
    for path, command in zip(paths, commands, strict=True):
        ran = kessai(*command.split(), "--json")
        shown = ran.array() if isinstance(told[path], list) else ran.object()
        assert told[path] == shown, path
