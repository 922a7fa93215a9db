"""An order is authored by the system of its own endpoint, and keeps its values once its payment starts."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ingress.api.inputs import BODY_BYTES
from shared.ledger import checkout_clients
from shared.ledger.database import connected
from shared.ledger.orders import NewOrder
from shared.ledger.timeline import timeline
from tests.given import ENDPOINT
from tests.integration.checkout.servers import CheckoutServers, System
from tests.integration.ledger.books import TestBooks


async def test_authoring_an_order_again_changes_nothing(system: System, books: TestBooks) -> None:
    new, known = await system.put(), await system.put()
    assert (new.status, known.status, new.json) == (201, 200, known.json)
    assert new.headers["Location"] == "/orders/order-1"
    assert new.json == (await system.order()).json
    assert new.json == {
        "order_id": "order-1",
        "state": "pending",
        "amount_minor": 1200,
        "currency": "JPY",
        "endpoint": "siglume",
        "paid_at": None,
        "attempt": None,
    }
    assert await books.acts() == [
        ("test", "checkout_client.added", "checkout:shop"),
        ("checkout:shop", "order.registered", "order-1"),
    ]


@pytest.mark.parametrize("changed", [{"amount_minor": 1300}, {"currency": "USD"}])
async def test_what_an_order_costs_may_change_before_its_payment_starts(
    system: System, books: TestBooks, changed: dict[str, object]
) -> None:
    old = {"amount_minor": 1200, "currency": "JPY"}
    first = (await system.put()).json
    told = await system.put(**changed)  # type: ignore[arg-type]
    assert (told.status, told.json) == (200, first | changed)
    assert (await system.put(**changed)).json == (await system.order()).json == told.json  # type: ignore[arg-type]
    async with connected(books.pool) as connection:
        steps = await timeline(connection, "order-1")
    new = old | changed
    assert [(step.what, step.who, step.detail) for step in steps] == [
        ("order.registered", "checkout:shop", {"endpoint": "siglume"} | old),
        (
            "order.changed",
            "checkout:shop",
            {"subject": "order-1", "old_amount_minor": 1200, "old_currency": "JPY"} | new,
        ),
    ]


async def test_an_order_may_become_what_it_was(system: System, books: TestBooks) -> None:
    for amount_minor in (1200, 1300, 1400, 1200):
        assert (await system.put(amount_minor=amount_minor)).json["amount_minor"] == amount_minor
    assert [action for _, action, _ in await books.acts()][2:] == ["order.changed"] * 3


BEGINNINGS: dict[str, Callable[[System, TestBooks], Awaitable[object]]] = {
    "started": lambda system, _: system.start(),
    "a challenge given": lambda system, _: system.challenge(),
    "a challenge registered": lambda _, books: books.register(
        NewOrder("order-1", 1200, "JPY", ENDPOINT, "sha256:of_another_way")
    ),
    "cancelled": lambda system, _: system.cancel(),
}


@pytest.mark.parametrize("begin", BEGINNINGS.values(), ids=BEGINNINGS.keys())
async def test_then_it_keeps_its_values(
    system: System, books: TestBooks, begin: Callable[[System, TestBooks], Awaitable[object]]
) -> None:
    await system.put()
    await begin(system, books)
    for changed in ({"amount_minor": 1300}, {"currency": "USD"}):
        told = await system.put(**changed)
        assert (told.problem, told.json["code"]) == ("conflict", "CONFLICT")
        assert "register a changed order under a new id" in told.json["detail"]
    assert (await system.put()).status == 200
    assert (await system.order()).json["amount_minor"] == 1200


@pytest.mark.parametrize("lost", ["DELETE FROM kessai.checkout_attempts", "DELETE FROM kessai.challenges"])
async def test_an_attempt_that_is_over_keeps_them_too(system: System, books: TestBooks, lost: str) -> None:
    """Whatever became of a session, its challenge may still be paid; and one without a session may have one by now."""
    await system.put()
    await system.start()
    await books.rows("UPDATE kessai.checkout_attempts SET state = 'failed', ended_at = now()")
    await books.rows(lost)
    assert (await system.put(amount_minor=1300)).problem == "conflict"


async def test_a_token_is_for_orders_of_one_endpoint(
    system: System, books: TestBooks, servers: CheckoutServers
) -> None:
    await system.put()
    assert (await system.put("order-2", endpoint="siglume")).status == 201
    assert (await system.put("order-3", endpoint="tea_shop")).problem == "forbidden"
    await books.rows("UPDATE kessai.orders SET endpoint = 'tea_shop' WHERE order_id = 'order-1'")
    for told in (
        await system.order(),
        await system.start(),
        await system.cancel(),
        await system.challenge(),
    ):
        assert told.problem == "not-found", told.raw
    for amount_minor in (1200, 1300):
        taken = await system.put(amount_minor=amount_minor)
        assert (taken.problem, taken.json["detail"]) == ("conflict", "Order id 'order-1' is not free: choose another.")
    async with connected(books.pool) as connection:
        system.token = await checkout_clients.add(connection, "tea", "tea_shop", actor="test")
    assert (await system.order()).status == 200
    assert (await system.put("order-4")).problem == "forbidden"  # this server knows no endpoint tea_shop


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount_minor": 0}, "amount_minor"),
        ({"amount_minor": -1200}, "amount_minor"),
        ({"amount_minor": 2**53}, "amount_minor"),
        ({"amount_minor": 1200.0}, "amount_minor"),
        ({"amount_minor": "1200"}, "amount_minor"),
        ({"amount_minor": True}, "amount_minor"),
        ({"currency": "EUR"}, "currency"),
        ({"currency": "jpy"}, "currency"),
        ({"endpoint": "Tea Shop"}, "endpoint"),
        ({"price": 1}, "price"),
    ],
)
async def test_an_order_that_cannot_be_is_refused_by_field(system: System, body: dict[str, object], field: str) -> None:
    told = await system.put(**body)  # type: ignore[arg-type]
    assert (told.problem, told.json["errors"][0]["field"]) == ("invalid", field)
    assert (await system.order()).problem == "not-found"


async def test_a_body_may_be_so_large_however_it_is_sent(system: System) -> None:
    async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 4096):
            yield body[start : start + 4096]

    largest = json.dumps({"amount_minor": 1200, "currency": "JPY"}).encode().ljust(BODY_BYTES)
    as_sent: tuple[bytes | AsyncIterator[bytes], ...] = (largest, in_chunks(largest))
    for number, data in enumerate(as_sent):
        assert (await system.send("PUT", f"/orders/order-{number}", data)).status == 201
    for body in (largest + b" ", largest * 20):
        as_sent = (body, in_chunks(body))
        for data in as_sent:
            told = await system.send("PUT", "/orders/order-9", data)
            assert (told.problem, told.headers["Connection"]) == ("too-large", "close")
    assert (await system.order("order-9")).problem == "not-found"


async def test_an_id_that_is_no_text_is_refused(system: System) -> None:
    """Else `%ff` and `%25ff` would be one order."""
    told = await system.send("PUT", "/orders/%ff%fe", b'{"amount_minor": 1200, "currency": "JPY"}')
    assert (told.problem, told.json["detail"]) == ("invalid", "The path or the query is not UTF-8.")


@pytest.mark.parametrize(
    "body",
    [b'{"amount_minor":' * 900 + b"1" + b"}" * 900, b'{"amount_minor": 1200, "currency": "\\ud800"}'],
)
async def test_a_body_that_nothing_can_be_read_from_is_refused_in_our_words(system: System, body: bytes) -> None:
    told = await system.send("PUT", "/orders/order-1", body)
    assert (told.problem, told.json["errors"][0]["message"]) == (
        "invalid",
        "is nested too deeply, or holds half a character",
    )


@pytest.mark.parametrize(
    "strange", ["a/b", "a%2Fb", "a:b", "%3A", "a?b#c", "日本", "..", "x" * 255, "{order_id}", "';--"]
)
async def test_an_id_may_be_any_text(system: System, strange: str) -> None:
    assert (await system.put(strange)).status == 201
    started = await system.start(strange)
    assert started.status == 201, started.raw
    assert (await system.order(strange)).json["attempt"]["checkout_url"] == started.json["checkout_url"]
    assert (await system.challenge(strange)).json["order_id"] == strange


async def test_a_cancelled_order_starts_no_payment_and_a_paid_one_is_not_cancelled(
    system: System, books: TestBooks
) -> None:
    for order_id in ("order-1", "order-2"):
        await system.put(order_id)
    assert (await system.cancel()).json["state"] == "cancelled"
    assert (await system.cancel()).json["state"] == "cancelled"
    assert (await system.start()).problem == "order-not-payable"
    assert (await system.challenge()).problem == "order-not-payable"
    await books.rows("UPDATE kessai.orders SET state = 'paid' WHERE order_id = 'order-2'")
    assert (await system.cancel("order-2")).problem == "conflict"
    assert (await system.start("order-2")).problem == "order-not-payable"
    assert system.road.asked == []
