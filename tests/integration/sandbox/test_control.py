"""Steering a sandbox over HTTP, as its commands do, and as the official sandbox is."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from deploy.sandbox.sandbox import Sandbox
from shared.sdrp.signature import SigningSecret, verify
from tests.integration.sandbox.shop import START, WEBHOOK_SECRET, Receiver, call, merchant, open_session, sell


class Panel:
    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self._sandbox = sandbox
        self._session = session

    async def __call__(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status, and the data or the code of the error."""
        url = f"{self._sandbox.root_url}{path}"
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            found = await answer.json()
            return answer.status, found["data"] if "data" in found else found["error"]["code"]


@pytest_asyncio.fixture
async def panel(sandbox: Sandbox) -> AsyncIterator[Panel]:
    async with aiohttp.ClientSession() as session:
        yield Panel(sandbox, session)


async def test_the_clock_is_advanced(sandbox: Sandbox, shop: Receiver, panel: Panel) -> None:
    await sell(sandbox, amount_minor=200)
    status, told = await panel("POST", "/sandbox/advance", {"seconds": 20 * 86_400})
    assert (status, told["now"]) == (200, "2026-03-23T10:00:00Z")
    assert sandbox.now == START + timedelta(days=20)
    assert [each.kind() for each in shop.confirmed()] == ["metered_usage_accepted", "metered_batch_settled"]


@pytest.mark.parametrize("seconds", [-1, "7d", None, True, 1e12])
async def test_the_clock_only_goes_forward(panel: Panel, seconds: object) -> None:
    assert (await panel("POST", "/sandbox/advance", {"seconds": seconds}))[0] == 400


async def test_faults_are_switched_and_shown(sandbox: Sandbox, panel: Panel) -> None:
    wanted = {"drop": 0.25, "rate-limit": {"times": 3, "seconds": 9}}
    _, told = await panel("POST", "/sandbox/faults", {"faults": wanted, "seed": 5})
    on = {each["fault"]: each for each in told["faults"] if each["share"]}
    assert on.keys() == {"drop", "rate_limit"}
    assert (on["rate_limit"]["times"], on["rate_limit"]["seconds"], on["rate_limit"]["share"]) == (3, 9, 1)
    await panel("POST", "/sandbox/faults", {"clear": True})
    assert not sandbox.faults.settings


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"fault": {"drop": 1}}, "the request has no field fault: it has clear, seed, faults"),
        ({"faults": {"drop": {"share": 1, "second": 5}}}, "fault drop has no field second: it has share, times, sec"),
    ],
)
async def test_a_misspelt_field_of_a_fault_is_refused(sandbox: Sandbox, body: dict[str, Any], says: str) -> None:
    async with aiohttp.ClientSession(sandbox.root_url) as session:
        answer = await session.post("/sandbox/faults", json=body)
        error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (400, "UNKNOWN_FIELD")
    assert error["message"].startswith(says)
    assert not sandbox.faults.settings


@pytest.mark.parametrize("fault", [{"fire": 1}, {"drop": 2}, {"drop": "often"}, {"drop": {"times": 0}}], ids=str)
async def test_a_fault_that_cannot_be_changes_nothing(sandbox: Sandbox, panel: Panel, fault: dict[str, object]) -> None:
    assert await panel("POST", "/sandbox/faults", {"faults": fault}) == (400, "UNKNOWN_FAULT")
    assert not sandbox.faults.settings


async def test_an_operator_decides_on_a_batch(sandbox: Sandbox, panel: Panel) -> None:
    await sell(sandbox, amount_minor=200)
    await panel("POST", "/sandbox/faults", {"faults": {"settlement_fails": 1}})
    await sandbox.advance(timedelta(days=30))
    _, told = await panel("GET", "/sandbox/batches")
    (batch,) = told["batches"]
    assert batch["status"] == "past_due"
    path = f"/sandbox/batches/{batch['settlement_batch_id']}"
    assert (await panel("POST", f"{path}/forgive"))[0] == 400
    _, ended = await panel("POST", f"{path}/uncollectible")
    assert (ended["status"], ended["uncollectible_provider_receivable_minor"]) == ("uncollectible", "198")
    assert await panel("POST", f"{path}/requeue") == (409, "BATCH_NOT_REQUEUEABLE")
    _, books = await panel("GET", "/sandbox/books")
    assert books["totals"]["JPY"]["uncollectible"] == "198"


async def test_a_session_is_confirmed_and_redelivered_by_the_names_of_the_official_sandbox(
    sandbox: Sandbox, shop: Receiver, panel: Panel
) -> None:
    session = await open_session(sandbox)
    path = f"/v1/sandbox/checkout-sessions/{session['session_id']}"
    assert await panel("POST", f"{path}/redeliver") == (409, "CHECKOUT_SESSION_NOT_CONFIRMED")
    _, first = await panel("POST", f"{path}/confirm")
    _, second = await panel("POST", f"{path}/confirm")
    assert first == second
    assert first["redirect_url"].endswith(f"/thanks?session_id={session['session_id']}")
    assert len(shop.confirmed()) == 1
    status, again = await panel("POST", f"{path}/redeliver")
    assert (status, again["delivery_status"], again["response_status"]) == (200, "delivered", 204)
    assert shop.confirmed()[1].verified()["id"] == first["event"]["id"]
    shop.answers.append(500)
    status, failed = await panel("POST", f"{path}/redeliver")
    assert (status, failed["delivery_status"], failed["response_status"]) == (502, "failed", 500)


async def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(
    sandbox: Sandbox, shop: Receiver, panel: Panel
) -> None:
    (subscription,) = await call(merchant(sandbox).list_webhook_subscriptions)
    token = {"Authorization": "Bearer sandbox_merchant_token"}
    path = f"/v1/market/webhooks/subscriptions/{subscription['id']}/rotate-secret"
    status, rotated = await panel("POST", path, {}, token)
    assert status == 200
    old, new = WEBHOOK_SECRET, rotated["signing_secret"]
    await sell(sandbox)
    await sandbox.advance(timedelta(days=1))
    await sell(sandbox, "order-2")
    both, only_new = shop.confirmed()[0], shop.confirmed()[-1]
    stamp = int(both.signature.partition(",")[0].removeprefix("t="))
    for secret in (old, new):
        verify(both.raw, both.signature.encode(), secrets=[SigningSecret.from_text(secret)], now=stamp)
    assert both.verified(old)["type"] == "direct_payment.confirmed"
    assert only_new.verified(new)["type"] == "direct_payment.confirmed"
    assert only_new.signature.count("v1=") == 1
    assert (await panel("POST", path, {}, {"Authorization": "Bearer bob"}))[0] == 404


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
async def test_nobody_steers_it_from_elsewhere(panel: Panel, headers: dict[str, str]) -> None:
    assert await panel("POST", "/sandbox/advance", {"seconds": 1}, headers) == (403, "LOOPBACK_ONLY")


@pytest.mark.parametrize(
    ("method", "path", "refusal"),
    [
        ("GET", "/v1/nowhere", (404, "ROUTE_NOT_FOUND")),
        ("DELETE", "/v1/sdrp/direct-payments/merchants", (405, "METHOD_NOT_ALLOWED")),
        ("GET", "/v1/sdrp/metered/my-summary", (401, "AUTHENTICATION_REQUIRED")),
        ("POST", "/v1/sdrp/direct-payments/checkout-sessions", (401, "AUTHENTICATION_REQUIRED")),
    ],
)
async def test_refusals_have_the_apis_shape(panel: Panel, method: str, path: str, refusal: tuple[int, str]) -> None:
    assert await panel(method, path) == refusal


async def test_a_body_that_is_no_object_is_refused(panel: Panel) -> None:
    token = {"Authorization": "Bearer sandbox_merchant_token"}
    path = "/v1/sdrp/direct-payments/checkout-sessions"
    assert await panel("POST", path, [1], token) == (400, "INVALID_JSON")
