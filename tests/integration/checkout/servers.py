"""Servers of the checkout API in this process, beside a simulated Siglume, and a shop's own system that calls them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import cache
from typing import Any
from urllib.parse import quote

from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from yarl import URL

from deploy.sandbox.sandbox import Sandbox
from ingress.api.failures import Failures
from ingress.checkout import api
from ingress.checkout.api import CheckoutApi
from ingress.checkout.call import EndpointCheckout
from ingress.checkout.hosted import HostedCheckout
from ingress.checkout.metrics import CheckoutMetrics
from shared.checkout_terms import CheckoutTerms
from shared.ledger.books import Shop
from shared.ledger.database import Pool
from shared.observe.metrics import new_registry
from shared.sdrp.api.access import Access
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.requests import Request
from shared.sdrp.api.retries import Patience
from shared.sdrp.api.transport import Transport
from tests.given import ENDPOINT
from tests.integration.told import Told, conform

MERCHANT = "sandbox_merchant"
CHALLENGE_SECRET = "edrp_sandbox_local"
ORIGIN = "http://localhost:3000"
SHOP = Shop(merchant=MERCHANT)
HASTE = Patience(attempts=2, connect=1.0, attempt=2.0, deadline=3.0, first_wait=0.01, longest_wait=0.02)
MANY = Failures(allowed=10**9, within=1.0, clock=lambda: 0.0)
"""As good as no limit."""

Bend = Callable[[Request, Callable[[], Awaitable[object]]], Awaitable[object]]


class BentRoad:
    """The road to Siglume, on which a test may do something to each request and its answer."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.bend: Bend | None = None
        self.asked: list[Request] = []

    async def call(self, request: Request) -> object:
        self.asked.append(request)
        if self.bend is None:
            return await self._transport.call(request)
        return await self.bend(request, lambda: self._transport.call(request))

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._transport.stream(request)

    def nonces(self) -> list[str]:
        """Of the sessions that were asked for, in order."""
        return [json.loads(request.body)["nonce"] for request in self.asked if request.body is not None]

    def answering(self, **changed: object) -> Bend:
        """What Siglume answers, with some fields changed."""

        async def bend(_request: Request, answer: Callable[[], Awaitable[object]]) -> object:
            found = await answer()
            assert isinstance(found, dict)
            return found | changed

        return bend


@cache
def document() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(api.document())
    return told


def terms(**changed: object) -> CheckoutTerms:
    """Of a shop that said where its buyers go back to."""
    usual: dict[str, object] = {
        "challenge_secret": SecretStr(CHALLENGE_SECRET),
        "origins": frozenset({ORIGIN}),
        "success_url": f"{ORIGIN}/thanks",
        "cancel_url": f"{ORIGIN}/cart",
    }
    return CheckoutTerms(**usual | changed)  # type: ignore[arg-type]


TERMS = terms()


class CheckoutServers:
    """Servers of the checkout API over one pool of books and one Siglume."""

    def __init__(self, pool: Pool, sandbox: Sandbox, stack: AsyncExitStack) -> None:
        self.pool = pool
        self.sandbox = sandbox
        self._stack = stack

    async def open(
        self,
        token: str | None,
        *,
        shop: Shop = SHOP,
        terms: CheckoutTerms = TERMS,
        deadline: float = 10.0,
        failures: Failures | None = None,
        is_hosted: bool = True,
        base_url: str | None = None,
    ) -> "System":
        """Start a server; the system that calls it has this token, or none."""
        access = Access.of("sandbox_merchant_token", base_url=base_url or self.sandbox.base_url)
        road = BentRoad(await self._stack.enter_async_context(Transport(access, patience=HASTE)))
        registry = new_registry()
        metrics = CheckoutMetrics(registry)
        hosted = HostedCheckout(MerchantClient(road), MERCHANT, metrics) if is_hosted else None
        checkout_api = CheckoutApi(
            pool=self.pool,
            checkouts={ENDPOINT: EndpointCheckout(shop, terms, hosted)},
            metrics=metrics,
            deadline=deadline,
            failures=failures or MANY,
        )
        server = TestServer(checkout_api.app)
        await server.start_server()
        self._stack.push_async_callback(server.close)
        session = await self._stack.enter_async_context(ClientSession())
        return System(str(server.make_url("")).rstrip("/"), token, road, session, registry)


class System:
    def __init__(
        self, origin: str, token: str | None, road: BentRoad, session: ClientSession, registry: CollectorRegistry
    ) -> None:
        self.origin = origin
        self.token = token
        self.road = road
        self.registry = registry
        self._session = session

    async def put(self, order_id: str = "order-1", amount_minor: object = 1200, **body: object) -> Told:
        """Author an order; 1200 yen are in the standard band, 200 are micro."""
        values = {"amount_minor": amount_minor, "currency": "JPY"} | body
        return await self.call("PUT", f"/orders/{quote(order_id, safe='')}", **values)

    async def order(self, order_id: str = "order-1") -> Told:
        return await self.call("GET", f"/orders/{quote(order_id, safe='')}")

    async def start(self, order_id: str = "order-1", **body: object) -> Told:
        return await self.call("POST", f"/orders/{quote(order_id, safe='')}/checkout", **body)

    async def cancel(self, order_id: str = "order-1") -> Told:
        return await self.call("POST", f"/orders/{quote(order_id, safe='')}/cancel")

    async def challenge(self, order_id: str = "order-1") -> Told:
        return await self.call("POST", "/challenges", order_id=order_id)

    async def call(self, method: str, path: str, **body: object) -> Told:
        """`path` as it goes over the wire."""
        return await self.send(method, path, None if method == "GET" else json.dumps(body).encode())

    async def send(self, method: str, path: str, data: bytes | AsyncIterator[bytes] | None) -> Told:
        """Those bytes; an iterator goes in chunks, without a length."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token is not None else {}
        if method != "GET":
            headers["Content-Type"] = "application/json"
        url = URL(f"{self.origin}{path}", encoded=True)
        async with self._session.request(method, url, data=data, headers=headers) as response:
            told = Told(response.status, await response.read(), response.headers.copy())
        conform(document(), method, path.partition("?")[0], told)
        return told
