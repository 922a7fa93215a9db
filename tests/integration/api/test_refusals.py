"""Whatever is refused says why in problem details of its own type, and does nothing."""

import json

import pytest
from aiohttp.test_utils import TestServer

from ingress.console import cursors
from shared.ledger.database import Pool, open_pool
from tests.given import new_order, payment
from tests.integration.api.client import ApiClient, console
from tests.integration.api.conftest import Connect
from tests.integration.ledger.books import TestBooks

ORDER = {"order_id": "order-1", "amount_minor": 1200, "currency": "JPY"}
BIG = "[" * 3000


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "cannot be read as JSON"),
        (b"[]", "must be one JSON object"),
        (b'{"order_id": "a", "order_id": "b"}', "order_id: is given more than once"),
        (b'{"amount_minor": NaN}', "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read as JSON"),
        (BIG.encode(), "cannot be read as JSON"),
        (b'{"a": ' * 300 + b"1" + b"}" * 300, "request: is nested too deeply, or holds half"),
        (json.dumps(ORDER | {"colour": "red"}).encode(), "colour: there is no such field"),
        (json.dumps(ORDER | {"amount_minor": "1200"}).encode(), "amount_minor: Input should be a valid integer"),
        (json.dumps(ORDER | {"amount_minor": 1200.5}).encode(), "amount_minor: "),
        (json.dumps(ORDER | {"amount_minor": True}).encode(), "amount_minor: "),
        (json.dumps(ORDER | {"amount_minor": 2**53}).encode(), "amount_minor: "),
        (json.dumps(ORDER | {"currency": "EUR"}).encode(), "currency: Input should be 'JPY' or 'USD'"),
        (json.dumps(ORDER | {"order_id": "a\0b"}).encode(), "order_id: "),
        (json.dumps(ORDER | {"order_id": "\ud800"}).encode(), "request: is nested too deeply, or holds half"),
        (json.dumps(ORDER | {"order_id": " order-1"}).encode(), "must not begin or end with a blank"),
        (json.dumps(ORDER | {"endpoint": "../x"}).encode(), "endpoint: "),
        (b"", "order_id: Field required; amount_minor: Field required"),
    ],
)
async def test_a_body_that_is_not_what_was_asked_for_is_refused_by_name(
    connect: Connect, books: TestBooks, body: bytes, says: str
) -> None:
    told = await (await connect("otto")).call("POST", "/orders", data=body)
    assert told.problem == "invalid"
    assert says in told.json["detail"]
    assert await books.rows("SELECT FROM kessai.orders") == []


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/orders?limit=0", "limit: Input should be greater than or equal to 1"),
        ("/orders?limit=501", "limit: Input should be less than or equal to 500"),
        ("/orders?limit=1_0", "limit: must be a whole number in plain digits"),
        ("/orders?limit=%EF%BC%91", "limit: must be a whole number in plain digits"),
        ("/orders?limit=5&limit=6", "limit: is given more than once"),
        ("/orders?limits=5", "limits: there is no such field"),
        ("/orders?state=lost", "state: "),
        ("/orders?endpoint=a%00b", "endpoint: "),
        ("/orders?order_id=", "order_id: there is no such field"),
        ("/events?since=1600000000", "since: must be a time of RFC 3339"),
        ("/events?since=2026-11-20T09:00:00+09:00", "since: must be a time of RFC 3339"),  # the + is a blank
        ("/events?since=2026-02-30T09:00:00Z", "since: "),
        ("/events?event_id=", "event_id: "),
        ("/events/siglume/x?endpoint=other", "endpoint: is given by the path already"),
        ("/reviews/0", "review_id: "),
        ("/reviews/9223372036854775808", "review_id: "),
        ("/reviews/+1", "review_id: "),
        ("/orders/a%00b", "order_id: "),
        ("/exports/secrets.csv", "what: "),
        ("/exports/orders.xls", "form: "),
        ("/orders?cursor=!!", "cursor: String should match pattern"),
        ("/orders?cursor=W10=", "cursor: is none of this list"),
    ],
)
async def test_a_query_or_a_path_that_is_not_what_was_asked_for_is_refused_by_name(
    connect: Connect, path: str, says: str
) -> None:
    told = await (await connect("vera")).call("GET", path)
    assert told.problem == "invalid"
    assert says in told.json["detail"]
    assert told.json["errors"][0]["field"] == says.partition(":")[0]


@pytest.mark.parametrize(
    "cursor",
    [
        cursors.write("/api/v1/events", ("2026-11-20T12:00:00+00:00", "order-1")),
        cursors.write("/api/v1/orders", ("2026-11-20T12:00:00", "order-1")),
        cursors.write("/api/v1/orders", ("2026-11-20T12:00:00+00:00",)),
        cursors.write("/api/v1/orders", ("2026-11-20T12:00:00+00:00", "order-1", "more")),
        cursors.write("/api/v1/orders", ("soon", "order-1")),
        cursors.write("/api/v1/orders", ("2026-11-20T12:00:00+00:00", "a\0b")),
        cursors.write("/api/v1/orders", ("2026-11-20T12:00:00+00:00", "order-1"))[:-4] + "====",
    ],
)
async def test_a_cursor_of_another_list_or_a_broken_one_is_refused(connect: Connect, cursor: str) -> None:
    told = await (await connect("vera")).get("/orders", cursor=cursor)
    assert (told.problem, told.json["errors"][0]["field"]) == ("invalid", "cursor")


async def test_each_kind_of_refusal_has_its_own_type(connect: Connect, books: TestBooks) -> None:
    await books.register(new_order())
    await books.apply(payment())
    client = await connect("otto")
    nothing = await client.get("/nothing/here")
    assert (nothing.problem, nothing.status) == ("not-found", 404)
    assert (await client.get("/orders/none")).problem == "not-found"
    wrong = await client.call("DELETE", "/orders/order-1")
    assert (wrong.problem, wrong.status, wrong.headers["Allow"]) == ("method-not-allowed", 405, "GET")
    assert (await client.post("/orders/order-1/cancel")).problem == "conflict"
    form = await client.call("POST", "/orders", data=b"{}", headers={"Content-Type": "text/plain"})
    assert (form.problem, form.status) == ("unsupported-media-type", 415)
    packed = await client.call("POST", "/orders", data=b"{}", headers={"Content-Encoding": "gzip"})
    assert (packed.problem, packed.status) == ("unsupported-media-type", 415)
    large = await client.call("POST", "/orders", data=b" " * (64 * 1024 + 1))
    assert (large.problem, large.status) == ("too-large", 413)
    told = await client.call("POST", "/orders?order_id=a", data=b"{}")
    assert (told.problem, told.json["errors"][0]["field"]) == ("invalid", "order_id")
    assert (await books.order()).state == "paid"


async def test_when_postgres_is_away_the_caller_is_told_when_to_come_back_and_nothing_of_where_it_is() -> None:
    pool = await open_pool("postgresql://someone:secret@127.0.0.1:9/x", application="t", size=1, statement_timeout=1.0)
    server = TestServer(console(pool).app)
    await server.start_server()
    client = ApiClient(server, "kessai_" + "a" * 43)
    told = await client.get("/orders")
    await client.session.close()
    await server.close()
    assert (told.problem, told.status, told.headers["Retry-After"]) == ("unavailable", 503, "5")
    assert b"127.0.0.1" not in told.raw
    pool.terminate()


async def test_what_others_keep_locked_is_waited_for_once_and_then_given_up(pool: Pool, connect: Connect) -> None:
    client = await connect("vera")
    async with pool.acquire() as blocking, blocking.transaction():
        await blocking.execute("LOCK TABLE kessai.orders IN ACCESS EXCLUSIVE MODE")
        told = await client.get("/orders/order-1")
    assert (told.problem, told.status, told.headers["Retry-After"]) == ("busy", 503, "2")


async def test_an_export_beyond_the_limit_is_refused_instead_of_queued(connect: Connect) -> None:
    told = await (await connect("vera", exports_at_once=0)).get("/exports/orders.csv")
    assert (told.problem, told.status, told.headers["Retry-After"]) == ("busy", 503, "30")
