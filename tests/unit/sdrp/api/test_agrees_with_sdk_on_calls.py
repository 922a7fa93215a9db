"""Generated calls: the request says what the official SDK's says, or both refuse, but for what is named Stricter.

The SDK sends into its own HTTP library's test double here, which keeps what would go over the wire; the same calls go
over real sockets in tests/integration/platform_api.
"""

import json
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple

import httpx
import siglume_direct_request_payment as sdk

from shared.errors import KessaiError
from shared.sdrp.api.clients import BuyerClient, MerchantClient, ProviderClient
from shared.sdrp.api.requests import Request
from tests.platform_answers import requirement
from tests.platform_calls import CALLS, Call, Stricter
from tests.unit.sdrp.api.fakes import Desk, finish
from tests.unit.sdrp.oracle import accepts, compare

HOW_MANY = 20_000
OURS = {"merchant": MerchantClient, "buyer": BuyerClient, "provider": ProviderClient}
ABSENT = object()


class Case(NamedTuple):
    call: Call
    given: dict[str, Any]
    stricter: bool


class Sent(NamedTuple):
    method: str
    path: bytes
    body: str
    """JSON with its keys in order: their order means nothing."""
    token: str | None


class Official:
    """The SDK's clients over a transport that only keeps."""

    def __init__(self) -> None:
        self.sent: list[httpx.Request] = []
        http = httpx.Client(transport=httpx.MockTransport(self._keep))
        base = "https://siglume.test/v1"
        user = sdk.DirectRequestPaymentClient(auth_token="token", base_url=base, client=http)
        merchant = sdk.DirectRequestPaymentMerchantClient(auth_token="token", base_url=base, client=http)
        self._clients = {"merchant": merchant, "buyer": user, "provider": user}

    def __call__(self, call: Call, given: dict[str, Any]) -> Sent | None:
        """What it sends, None when it refuses."""
        self.sent.clear()
        accepts(getattr(self._clients[call.role], call.name), **given)
        if not self.sent:
            return None
        request = self.sent[0]
        token = request.headers["Authorization"].removeprefix("Bearer ")
        return Sent(request.method, request.url.raw_path, canonical(request.content), token)

    def _keep(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        return httpx.Response(200, json={"data": {}})


def ours(call: Call, given: dict[str, Any]) -> Sent | None:
    """What we send, None when we refuse."""
    desk = Desk(answer={})
    with suppress(KessaiError):  # a refusal, or no use in the empty answer
        finish(getattr(OURS[call.role](desk), call.name)(**given))
    return _sent(desk.requests[0]) if desk.requests else None


def _sent(request: Request) -> Sent:
    token = "token" if request.token is None else request.token.get_secret_value()
    return Sent(request.method, f"/v1{request.path}".encode(), canonical(request.body), token)


def canonical(body: bytes | None) -> str:
    return json.dumps(json.loads(body), sort_keys=True) if body else ""


def draw_case(random: Random) -> Case:
    """Mostly sound, so that most cases get as far as a request."""
    call = random.choice(CALLS)
    given: dict[str, Any] = {}
    stricter = False
    odd = random.choice((0.0, 0.0, 0.1, 0.4))
    for name, pool in {**call.required, **call.optional}.items():
        value = random.choice(pool) if random.random() < odd else pool[0]
        if name in call.optional and random.random() < 0.5:
            value = random.choice((ABSENT, None))
        if isinstance(value, Stricter):
            stricter, value = True, value.value
        if value is not ABSENT:
            given[name] = value
    return Case(call, given, stricter)


def test_sends_what_the_sdk_sends_and_refuses_what_it_refuses() -> None:
    official = Official()

    def check(case: Case) -> str:
        mine = ours(case.call, case.given)
        if case.stricter:
            assert mine is None, case
            return "stricter"
        theirs = official(case.call, case.given)
        assert mine == theirs, (case, mine, theirs)
        return "refused" if mine is None else case.call.name

    seen = compare(draw_case, HOW_MANY, check)
    assert set(seen) == {"stricter", "refused"} | {call.name for call in CALLS}
    assert min(seen.values()) > 100


def test_every_value_of_every_pool_is_ruled_as_the_sdk_rules() -> None:
    official = Official()
    for call in CALLS:
        for name, pool in {**call.required, **call.optional}.items():
            for value in pool:
                given = call.sound(whole=False)
                if isinstance(value, Stricter):
                    assert ours(call, given | {name: value.value}) is None, (call.name, name, value)
                else:
                    given |= {name: value}
                    assert ours(call, given) == official(call, given), (call.name, name, value)


def test_a_path_cannot_be_left_by_an_id_although_the_sdk_lets_it() -> None:
    """The SDK puts a requirement id into the path as it is; its TypeScript sister quotes it, as we do."""
    call = next(call for call in CALLS if call.name == "get_payment_requirement")
    sent = ours(call, {"requirement_id": "../merchants/x?y=1"})
    assert sent is not None
    assert sent.path == b"/v1/sdrp/direct-payments/requirements/..%2Fmerchants%2Fx%3Fy%3D1"


def test_verifying_sends_the_same_receipts_though_the_sdk_checks_none_of_them() -> None:
    given = {"requirement_id": "dpr_1", "receipt_id": "rcpt_1", "await_finality": False, "await_timeout_seconds": 30}
    call = next(call for call in CALLS if call.name == "verify_payment_requirement")
    assert ours(call, given) == Official()(call, given)
    for odd in ({"receipt_id": " "}, {"await_finality": "no"}, {"await_timeout_seconds": -1}):
        assert ours(call, given | odd) is None


def test_what_executes_a_requirement_is_what_the_sdk_sends() -> None:
    official, desk = Official(), Desk(answer={})
    raw = requirement()
    desk.answer = raw
    read = finish(BuyerClient(desk).get_payment_requirement("dpr_1"))
    desk.answer = {}
    for name in ("execute_payment_transaction", "execute_allowance_transaction"):
        for options in ({}, {"await_finality": True, "metadata": {"order_id": "order-1"}}):
            desk.requests.clear()
            finish(getattr(BuyerClient(desk), name)(read, **options))
            call = Call(name, "buyer", {}, {}, {})
            theirs = official(call, {"requirement": raw, **options})
            assert _sent(desk.requests[0]) == theirs
