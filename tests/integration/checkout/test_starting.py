"""One order, one session, one nonce: whoever asks, however often, and whatever dies meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from prometheus_client import generate_latest

from deploy.sandbox.core.faults import Fault
from deploy.sandbox.sandbox import Sandbox
from shared.ledger import orders
from shared.ledger.checkout_states import CLOCK_TOLERANCE
from shared.ledger.database import connected
from shared.ledger.timeline import timeline
from shared.sdrp.api.answers import Answer, refusal
from shared.sdrp.api.requests import Request
from tests.given import ENDPOINT, confirmation
from tests.integration.checkout.conftest import lease_over, trust_over
from tests.integration.checkout.servers import MERCHANT, ORIGIN, SHOP, Bend, CheckoutServers, System, terms
from tests.integration.ledger.books import TestBooks
from tests.integration.told import Told


def paid(challenge_hash: str, *, amount_minor: int = 1200) -> bytes:
    """The webhook that says so."""
    return confirmation(
        "evt-1",
        {
            "mode": "external_402",
            "pricing_band": "standard",
            "finality": "per_payment_onchain",
            "settlement_status": "settled",
            "requirement_id": "req-1",
            "challenge_hash": challenge_hash,
            "chain_receipt_id": "chain-1",
            "merchant": MERCHANT,
            "amount_minor": amount_minor,
            "currency": "JPY",
        },
    )


def refusing(status: int, code: str, *, looks_alone: bool = False) -> Bend:
    async def bend(request: Request, answer: Callable[[], Awaitable[object]]) -> object:
        if looks_alone and request.method != "GET":
            return await answer()
        raised = Answer(status, "application/json", orjson.dumps({"error": {"code": code, "message": "no"}}))
        raise refusal(raised, request, now=datetime.now(UTC), token="")

    return bend


async def test_a_start_opens_a_session_and_every_other_gets_the_same(
    system: System, books: TestBooks, sandbox: Sandbox
) -> None:
    await system.put()
    first, again = await system.start(), await system.start(success_url=f"{ORIGIN}/elsewhere")
    assert (first.status, again.status, first.json) == (201, 200, again.json)
    (session,) = sandbox.platform.checkout.every()
    assert first.json == {
        "order_id": "order-1",
        "attempt": 1,
        "state": "open",
        "session_id": session.id,
        "checkout_url": f"{sandbox.root_url}/pay/{session.id}",
        "expires_at": first.json["expires_at"],
    }
    assert (session.order.amount_minor, session.order.currency, session.success_url) == (
        1200,
        "JPY",
        f"{ORIGIN}/thanks",
    )
    assert session.order.metadata == {"order_id": "order-1", "attempt_id": "order-1-attempt_1"}
    assert system.road.nonces() == ["order-1-attempt_1"]
    shown = (await system.order()).json["attempt"]
    assert (shown["nonce"], shown["checkout_url"]) == ("order-1-attempt_1", first.json["checkout_url"])


async def test_the_story_of_an_order_tells_its_attempts(system: System, books: TestBooks, sandbox: Sandbox) -> None:
    await system.put()
    session_id = (await system.start()).json["session_id"]
    sandbox.cancel(session_id)
    await system.start(look=True)
    async with connected(books.pool) as connection:
        steps = await timeline(connection, "order-1")
    told = [(step.what, step.who, step.detail.get("attempt"), step.detail.get("session_id")) for step in steps]
    first = (None, 1, session_id)
    assert [each for each in told if each[0] != "checkout.created"] == [
        ("order.registered", "checkout:shop", None, None),
        ("checkout.begun", "checkout:shop", 1, session_id),
        ("checkout.opened", *first),
        ("checkout.ended", *first),
        ("checkout.begun", "checkout:shop", 2, told[-1][3]),
        ("checkout.opened", None, 2, told[-1][3]),
    ]
    assert [(action, subject) for _, action, subject in await books.acts()][2:] == [
        ("checkout.begun", "order-1"),
        ("checkout.opened", "order-1"),
        ("checkout.ended", "order-1"),
        ("checkout.begun", "order-1"),
        ("checkout.opened", "order-1"),
    ]


async def test_a_hundred_starts_at_once_on_two_servers_open_one_session(
    servers: CheckoutServers, token: str, sandbox: Sandbox
) -> None:
    systems = [await servers.open(token), await servers.open(token)]
    await systems[0].put()

    async def start(system: System) -> Told:
        while (told := await system.start()).status == 202:
            assert (told.headers["Retry-After"], told.json["checkout_url"]) == ("1", None)
            await asyncio.sleep(0.05)
        return told

    told = await asyncio.gather(*(start(systems[number % 2]) for number in range(100)))
    assert Counter(each.status for each in told) == {201: 1, 200: 99}
    assert len({each.json["checkout_url"] for each in told}) == 1
    assert len(sandbox.platform.checkout.every()) == 1
    assert len(systems[0].road.asked + systems[1].road.asked) == 1


@pytest.mark.parametrize("other", [1300, 200])
async def test_whatever_is_said_meanwhile_a_session_has_the_amount_of_its_order(
    servers: CheckoutServers, token: str, sandbox: Sandbox, other: int
) -> None:
    """200 yen are in the micro band, which this shop does not take."""
    systems = [await servers.open(token), await servers.open(token)]
    await systems[0].put()

    async def start() -> Told:
        while (told := await systems[1].start()).status == 202:
            await asyncio.sleep(0.02)
        return told

    said = [systems[number % 2].put(amount_minor=(1200, other)[number // 2 % 2]) for number in range(100)]
    first, *told, second = await asyncio.gather(start(), *said, start())
    assert {each.status for each in told} <= {200, 409}
    sessions = sandbox.platform.checkout.every()
    started = [each for each in (first, second) if each.status in {200, 201}]
    assert len(sessions) == bool(started)
    assert all(each.problem == "metered-integration-required" for each in (first, second) if each not in started)
    for amount_minor in (1200, other, 1200) if sessions else ():
        is_it = amount_minor == sessions[0].order.amount_minor
        assert (await systems[0].put(amount_minor=amount_minor)).status == (200 if is_it else 409)
    order = (await systems[0].order()).json
    assert [each.order.amount_minor for each in sessions] in ([], [order["amount_minor"]])
    assert {each.order.amount_minor for each in sessions} <= {1200, 1300}
    assert (order["attempt"] is None) == (not sessions)


async def test_an_order_that_became_micro_meanwhile_is_not_started(system: System, books: TestBooks) -> None:
    await system.put()
    async with connected(books.pool) as connection:
        async with connection.transaction():
            await orders.change(connection, orders.NewOrder("order-1", 200, "JPY", ENDPOINT), actor="test")
            asked = [asyncio.create_task(each) for each in (system.start(), system.challenge())]
            while await books.value("SELECT count(*) FROM pg_locks WHERE NOT granted") < len(asked):
                await asyncio.sleep(0.02)
        told = await asyncio.gather(*asked)
    assert [each.problem for each in told] == ["metered-integration-required"] * 2
    assert await books.value("SELECT count(*) FROM kessai.checkout_attempts") == 0
    assert system.road.asked == []
    assert (await system.put(amount_minor=1300)).status == 200


async def test_a_crash_after_siglumes_answer_costs_a_lease_and_nothing_else(
    servers: CheckoutServers, token: str, books: TestBooks, sandbox: Sandbox
) -> None:
    dying, other = await servers.open(token), await servers.open(token)
    await dying.put()
    answered, never = asyncio.Event(), asyncio.Event()

    async def die(_request: Request, answer: Callable[[], Awaitable[object]]) -> object:
        await answer()
        answered.set()
        await never.wait()
        raise AssertionError

    dying.road.bend = die
    task = asyncio.create_task(dying.start())
    await answered.wait()
    assert (await other.start()).status == 202
    assert (await other.order()).json["attempt"]["state"] == "creating"
    task.cancel()
    await lease_over(books)
    recovered = await other.start()
    (session,) = sandbox.platform.checkout.every()
    assert (recovered.status, recovered.json["session_id"]) == (201, session.id)
    assert dying.road.nonces() + other.road.nonces() == ["order-1-attempt_1"] * 2
    never.set()


async def test_what_a_crashed_server_comes_back_with_is_no_second_session(
    servers: CheckoutServers, token: str, books: TestBooks
) -> None:
    """It was only slow: both hold the same session in the end."""
    slow, other = await servers.open(token), await servers.open(token)
    await slow.put()
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_request: Request, answer: Callable[[], Awaitable[object]]) -> object:
        found = await answer()
        held.set()
        await go_on.wait()
        return found

    slow.road.bend = hold
    task = asyncio.create_task(slow.start())
    await held.wait()
    await lease_over(books)
    told = await other.start()
    go_on.set()
    late = await task
    assert (told.json["session_id"], told.status) == (late.json["session_id"], 201)
    assert [action for _, action, _ in await books.acts()].count("checkout.opened") == 1


async def test_after_a_crash_a_nonce_whose_session_is_over_makes_way_for_the_next(
    system: System, books: TestBooks, sandbox: Sandbox
) -> None:
    """Nobody was ever sent to that session."""
    await system.put()

    async def lose(_request: Request, answer: Callable[[], Awaitable[object]]) -> object:
        await answer()
        return {"nothing": "of use"}

    system.road.bend = lose
    assert (await system.start()).problem == "platform-refused"
    system.road.bend = None
    await sandbox.advance(timedelta(hours=1))
    told = await system.start()
    assert (told.status, told.json["attempt"]) == (201, 2)
    assert system.road.nonces() == ["order-1-attempt_1", "order-1-attempt_1", "order-1-attempt_2"]


@pytest.mark.parametrize(("status", "problem"), [("expired", "busy"), ("paid", "payment-underway")])
async def test_a_session_that_is_over_when_it_is_answered_is_never_open_in_the_books(
    system: System, books: TestBooks, status: str, problem: str
) -> None:
    """A crash between two writes would leave it there to be reused."""
    await books.rows(
        "CREATE TABLE kessai.seen AS SELECT state, pg_current_xact_id() AS act FROM kessai.checkout_attempts"
    )
    await books.rows(
        """
        CREATE FUNCTION kessai.see() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO kessai.seen SELECT new.state, pg_current_xact_id() WHERE new.session_id IS NOT NULL;
            RETURN new;
        END $$
        """
    )
    await books.rows(
        "CREATE TRIGGER see AFTER UPDATE ON kessai.checkout_attempts FOR EACH ROW EXECUTE FUNCTION kessai.see()"
    )
    await system.put()
    system.road.bend = system.road.answering(status=status)
    assert (await system.start()).problem == problem
    committed = await books.rows("SELECT array_agg(state::text) AS states FROM kessai.seen GROUP BY act")
    assert committed
    assert all(status in row["states"] for row in committed)


@pytest.mark.parametrize("how", ["expired", "cancelled"])
async def test_a_new_attempt_begins_when_the_session_is_known_to_be_over(
    system: System, books: TestBooks, sandbox: Sandbox, how: str
) -> None:
    await system.put()
    first = await system.start()
    if how == "expired":
        await sandbox.advance(timedelta(hours=1))
    else:
        sandbox.cancel(first.json["session_id"])
    assert (await system.start()).json == first.json  # nobody knows yet
    await trust_over(books)
    second = await system.start()
    assert (second.status, second.json["attempt"]) == (201, 2)
    assert second.json["session_id"] != first.json["session_id"]
    rows = await books.rows("SELECT attempt, nonce, state, tries FROM kessai.checkout_attempts ORDER BY attempt")
    assert [tuple(row) for row in rows] == [(1, "order-1-attempt_1", how, 2), (2, "order-1-attempt_2", "open", 1)]


async def test_a_session_that_siglume_still_has_open_is_kept_beyond_its_expiry(
    system: System, books: TestBooks
) -> None:
    await system.put()
    first = await system.start()
    await trust_over(books)
    assert (await system.start()).json == first.json
    assert [request.method for request in system.road.asked] == ["POST", "GET"]
    await system.start()
    assert len(system.road.asked) == 2  # it is trusted again


async def test_a_session_whose_buyer_has_signed_in_is_kept(system: System, books: TestBooks, sandbox: Sandbox) -> None:
    await system.put()
    first = await system.start()
    sandbox.sign_in(first.json["session_id"])
    assert (await system.start(look=True)).json["session_id"] == first.json["session_id"]
    await trust_over(books)
    assert (await system.start()).json["session_id"] == first.json["session_id"]
    await sandbox.pay(first.json["session_id"])
    assert (await system.start(look=True)).problem == "payment-underway"


async def test_a_session_that_siglume_knows_no_more_makes_way(system: System, books: TestBooks) -> None:
    await system.put()
    await system.start()
    await books.rows("UPDATE kessai.checkout_attempts SET session_id = 'chk_of_another_life'")
    assert (await system.start(look=True)).json["attempt"] == 2
    assert await books.value("SELECT ended_because FROM kessai.checkout_attempts WHERE attempt = 1")


REFUSALS = [(404, "NOT_FOUND"), (404, "HTTP_404"), (409, "HOSTED_CHECKOUT_NOT_ENABLED"), (410, "GONE"), (422, "NO")]


@pytest.mark.parametrize(("status", "code"), REFUSALS)
async def test_a_session_that_siglume_will_not_tell_of_makes_way_when_its_time_is_over(
    system: System, books: TestBooks, status: int, code: str
) -> None:
    await system.put()
    first = await system.start()
    system.road.bend = refusing(status, code, looks_alone=True)
    for since in (-CLOCK_TOLERANCE, CLOCK_TOLERANCE - timedelta(seconds=10)):
        await trust_over(books, since)
        told = await system.start(look=True)
        assert (told.status in (409, 502), "kept" in told.json["detail"]) == (True, True), told.raw
        assert (await system.order()).json["attempt"]["state"] == "open"
    await trust_over(books, CLOCK_TOLERANCE + timedelta(seconds=1))
    second = await system.start()
    assert (second.status, second.json["attempt"]) == (201, 2), second.raw
    assert (await books.row("SELECT state, ended_because FROM kessai.checkout_attempts WHERE attempt = 1"))[
        "state"
    ] == "expired"
    assert code in await books.value("SELECT detail ->> 'because' FROM kessai.audit WHERE action = 'checkout.ended'")
    assert second.json["session_id"] != first.json["session_id"]


@pytest.mark.parametrize(("status", "code"), [(401, "UNAUTHORIZED"), (403, "FORBIDDEN"), (429, "SLOW"), (500, "OOPS")])
async def test_what_says_nothing_of_a_session_ends_no_attempt(
    system: System, books: TestBooks, status: int, code: str
) -> None:
    await system.put()
    await system.start()
    await trust_over(books, timedelta(days=9))
    system.road.bend = refusing(status, code)
    assert (await system.start()).problem in ("platform-refused", "platform-unavailable")
    system.road.bend = system.road.answering(amount_minor="many")
    assert (await system.start()).problem == "platform-refused"
    assert (await system.order()).json["attempt"]["state"] == "open"


async def test_a_webhook_counts_that_comes_after_its_attempt_has_made_way(system: System, books: TestBooks) -> None:
    """Money first: whatever we thought of the session."""
    await system.put()
    await system.start()
    system.road.bend = refusing(404, "NOT_FOUND", looks_alone=True)
    await trust_over(books, timedelta(days=1))
    assert (await system.start()).json["attempt"] == 2
    books.shops = {}
    await books.apply(
        paid(await books.value("SELECT challenge_hash FROM kessai.checkout_attempts WHERE state = 'expired'"))
    )
    assert (await system.order()).json["state"] == "paid"
    assert await books.reviews() == []
    assert (await system.start()).problem == "order-not-payable"


async def test_nothing_new_is_started_while_the_webhook_of_a_payment_is_on_its_way(
    system: System, books: TestBooks, sandbox: Sandbox
) -> None:
    await system.put()
    first = await system.start()
    await sandbox.pay(first.json["session_id"])
    await trust_over(books)
    for told in (await system.start(), await system.start(look=True), await system.challenge()):
        assert (told.problem, told.status) == ("payment-underway", 409), told.raw
    assert (await system.order()).json["attempt"]["state"] == "paid"
    hash_ = await books.value("SELECT challenge_hash FROM kessai.checkout_attempts")
    books.shops = {}
    await books.apply(paid(hash_))
    assert (await system.start()).problem == "order-not-payable"
    assert (await system.order()).json["state"] == "paid"


async def test_a_webhook_that_overtakes_our_commit_is_applied_by_it(
    system: System, books: TestBooks, sandbox: Sandbox
) -> None:
    books.shops = {}
    await system.put()

    async def overtaken(_request: Request, answer: Callable[[], Awaitable[object]]) -> object:
        found = await answer()
        assert isinstance(found, dict)
        await books.apply(paid(found["challenge_hash"]))
        assert await books.reviews() == [("evt-1", "unknown_challenge_hash", "open")]
        return found

    system.road.bend = overtaken
    assert (await system.start()).problem == "order-not-payable"
    assert (await system.order()).json["state"] == "paid"
    assert await books.reviews() == [("evt-1", "unknown_challenge_hash", "closed")]
    assert ("checkout:shop", "review.closed_by_registration", "review:1") in await books.acts()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"amount_minor": 1}, "amount_minor"),
        ({"currency": "USD"}, "currency"),
        ({"merchant": "somebody_else"}, "merchant"),
        ({"challenge_hash": "sha256:short"}, "challenge_hash"),
    ],
)
async def test_a_session_that_is_not_the_orders_is_refused_and_recorded(
    system: System, books: TestBooks, sandbox: Sandbox, changed: dict[str, object], field: str
) -> None:
    await system.put()
    system.road.bend = system.road.answering(**changed)
    told = await system.start()
    assert (told.problem, told.status, field in told.json["detail"]) == ("session-does-not-fit", 502, True)
    assert (await system.order()).json["attempt"]["state"] == "failed"
    detail = await books.value("SELECT detail ->> 'because' FROM kessai.audit WHERE action = 'checkout.ended'")
    assert field in detail
    assert not await books.rows("SELECT FROM kessai.challenges")
    system.road.bend = None
    assert (await system.start()).json["attempt"] == 2


async def test_a_challenge_of_another_order_is_refused_and_recorded(system: System, books: TestBooks) -> None:
    for order_id in ("order-1", "order-2"):
        await system.put(order_id)
    await system.start("order-1")
    taken = await books.value("SELECT challenge_hash FROM kessai.checkout_attempts")
    system.road.bend = system.road.answering(challenge_hash=taken)
    assert (await system.start("order-2")).problem == "session-does-not-fit"
    assert (await system.order("order-2")).json["attempt"]["state"] == "failed"


async def test_an_answer_that_says_little_is_looked_up(system: System) -> None:
    await system.put()

    async def terse(request: Request, answer: Callable[[], Awaitable[object]]) -> object:
        found = await answer()
        assert isinstance(found, dict)
        said = ("session_id", "checkout_url", "challenge_hash", "expires_at")
        return {name: found[name] for name in said} if request.method == "POST" else found

    system.road.bend = terse
    assert (await system.start()).status == 201
    assert [request.method for request in system.road.asked] == ["POST", "GET"]


@pytest.mark.parametrize("fault", [Fault.RATE_LIMIT, Fault.SERVER_ERROR])
async def test_while_siglume_is_away_the_attempt_is_kept(system: System, sandbox: Sandbox, fault: Fault) -> None:
    await system.put()
    sandbox.switch(fault, seconds=7)
    told = await system.start()
    assert (told.problem, told.status) == ("platform-unavailable", 503)
    assert int(told.headers["Retry-After"]) >= (7 if fault is Fault.RATE_LIMIT else 1)
    sandbox.switch(fault, share=0.0)
    again = await system.start()
    assert (again.status, set(system.road.nonces())) == (201, {"order-1-attempt_1"})


async def test_no_siglume_at_all_is_a_503(servers: CheckoutServers, token: str) -> None:
    system = await servers.open(token, base_url="http://127.0.0.1:9/v1")
    await system.put()
    told = await system.start()
    assert (told.problem, "Retry-After" in told.headers) == ("platform-unavailable", True)
    assert (await system.order()).json["attempt"]["state"] == "creating"


async def test_hosted_checkout_that_is_not_enabled_is_said(
    servers: CheckoutServers, token: str, sandbox: Sandbox
) -> None:
    system = await servers.open(token)
    await system.put()
    sandbox.switch(Fault.CHECKOUT_DISABLED)
    told = await system.start()
    assert (told.status, told.json["code"]) == (409, "HOSTED_CHECKOUT_NOT_ENABLED")
    sandbox.switch(Fault.CHECKOUT_DISABLED, share=0.0)
    assert (await system.start()).json["attempt"] == 1
    without = await servers.open(token, is_hosted=False)
    await without.put("order-2")
    assert (await without.start("order-2")).json["code"] == "HOSTED_CHECKOUT_NOT_ENABLED"


async def test_a_refused_token_is_siglumes_refusal_and_keeps_the_attempt(system: System) -> None:
    await system.put()
    system.road.bend = refusing(403, "FORBIDDEN")
    for _ in range(3):
        assert (await system.start()).problem == "platform-refused"
    system.road.bend = None
    assert (await system.start()).json["attempt"] == 1


async def test_what_takes_too_long_is_given_up_and_recovered(
    servers: CheckoutServers, token: str, books: TestBooks, sandbox: Sandbox
) -> None:
    system = await servers.open(token, deadline=0.5)
    await system.put()

    async def dawdle(_request: Request, answer: Callable[[], Awaitable[object]]) -> object:
        await answer()
        await asyncio.sleep(5)
        raise AssertionError

    system.road.bend = dawdle
    told = await system.start()
    assert (told.problem, told.status, "Retry-After" in told.headers) == ("too-slow", 503, True)
    system.road.bend = None
    assert (await system.start()).status == 202
    await lease_over(books)
    assert (await system.start()).status == 201
    assert len(sandbox.platform.checkout.every()) == 1


async def test_a_metered_amount_needs_that_the_shop_opted_in(servers: CheckoutServers, token: str) -> None:
    system = await servers.open(token)
    for order_id, amount in (("micro", 500), ("nano", 49)):
        await system.put(order_id, amount)
        for told in (await system.start(order_id), await system.challenge(order_id)):
            assert (told.status, told.json["code"]) == (409, "METERED_INTEGRATION_REQUIRED")
    assert system.road.asked == []
    opted_in = await servers.open(token, shop=replace(SHOP, allow_metered_payments=True))
    assert (await opted_in.start("micro")).status == 201
    assert (await opted_in.challenge("nano")).status == 200


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("https://elsewhere.example.com/thanks", "is on no origin of this shop"),
        ("http://localhost:3001/thanks", "is on no origin of this shop"),
        ("https://localhost:3000/thanks", "is on no origin of this shop"),
        ("http://shop.example.com/thanks", "must use https"),
        ("https://localhost:3000@elsewhere.example.com/", "must not hold a user name"),
        ("http://localhost:3000\\@elsewhere.example.com/", "must be an absolute URL"),
        ("javascript:alert(1)", "must be an absolute URL"),
        ("/thanks", "must be an absolute URL"),
        ("", "at least 1 character"),
    ],
)
async def test_a_buyer_is_sent_back_to_the_shop_alone(system: System, page: str, says: str) -> None:
    await system.put()
    for name in ("success_url", "cancel_url"):
        told = await system.start(**{name: page})
        (fault,) = told.json["errors"]
        assert (told.problem, fault["field"]) == ("invalid", name)
        assert says in fault["message"]
    assert system.road.asked == []


async def test_pages_that_nobody_named_are_asked_for(servers: CheckoutServers, token: str, sandbox: Sandbox) -> None:
    system = await servers.open(token, terms=terms(success_url=None, cancel_url=None))
    await system.put()
    told = await system.start(success_url=f"{ORIGIN}/thanks?order=1")
    assert [fault["field"] for fault in told.json["errors"]] == ["cancel_url"]
    await system.start(success_url=f"{ORIGIN}/thanks?order=1", cancel_url=f"{ORIGIN}/cart")
    (session,) = sandbox.platform.checkout.every()
    assert (session.success_url, session.cancel_url) == (f"{ORIGIN}/thanks?order=1", f"{ORIGIN}/cart")
    assert (await system.start()).status == 200  # the session is there: nothing needs to be said
    sandbox.cancel(session.id)
    assert (await system.start(look=True)).json["attempt"] == 2  # nor for the next one
    assert sandbox.platform.checkout.every()[1].success_url == session.success_url


async def test_starts_and_what_siglume_took_are_counted(servers: CheckoutServers, token: str, sandbox: Sandbox) -> None:
    system = await servers.open(token)
    await system.put()
    await system.start()
    await system.start()
    sandbox.switch(Fault.SERVER_ERROR)
    await system.start(look=True)
    await system.start("none")
    counted = generate_latest(system.registry).decode()
    for outcome in ("created", "reused", "platform-unavailable", "OrderNotFound"):
        assert f'kessai_checkout_starts_total{{endpoint="siglume",outcome="{outcome}"}} 1.0' in counted
    assert 'kessai_checkout_requests_total{operation="startCheckout",status="503"} 1.0' in counted
    assert 'kessai_checkout_platform_seconds_count{call="create",outcome="answered"} 1.0' in counted
    assert 'kessai_checkout_platform_seconds_count{call="get",outcome="failed"} 1.0' in counted
