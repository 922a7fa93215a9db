"""The road of a call through the checkout API: within its time, by whom; then the operation."""

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from ingress.api import door, inputs, openapi
from ingress.api.answers import answered
from ingress.api.bearer import Bearers
from ingress.api.failures import Failures
from ingress.api.problems import Refused
from ingress.checkout.call import Call, Counter, Services
from ingress.checkout.metrics import CheckoutMetrics
from ingress.checkout.operation import AnyOperation, PublicRead
from ingress.checkout.refusals import TOO_SLOW, refusal_of
from ingress.checkout.table import OPERATIONS
from shared.ledger import checkout_clients
from shared.ledger.checkout_clients import Client
from shared.ledger.database import Pool

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.checkout")

CLIENT: Final = web.RequestKey("client", Client)
OPERATION: Final = web.RequestKey("operation", str)
ROOT: Final = "/"
PUBLIC: Final = frozenset((each.method, each.path) for each in OPERATIONS if isinstance(each, PublicRead))
NOBODY: Final = Client("-", "-")
"""No endpoint is named so, and none has its orders."""
LEASE_BEYOND: Final = 5.0
"""Seconds that an attempt stays leased after the call that leased it must be over."""
TITLE: Final = "Kessai checkout API"
ABOUT: Final = (
    "For a merchant's own systems: say what an order costs, send its buyer to Siglume's page to pay, or hand a "
    "buyer's program a challenge. A call carries `Authorization: Bearer ...` with a token of "
    "`kessai checkout-clients add`, which is for one endpoint's orders; keep it out of browsers. Amounts are whole "
    "minor units, times are UTC. Every call may be made again: it does nothing twice. A refusal says by its `code` "
    "what to do about it."
)
ADVICE: Final = "`kessai checkout-clients list` tells which are, `kessai checkout-clients add` gives out another."


class CheckoutApi:
    """The checkout API as an application."""

    def __init__(
        self,
        *,
        pool: Pool,
        counters: Mapping[str, Counter],
        metrics: CheckoutMetrics,
        deadline: float,
        failures: Failures | None = None,
    ) -> None:
        """`pool` connects as workers do; a call is given up after `deadline` seconds."""
        self._metrics = metrics
        self._deadline = deadline
        self._bearers = Bearers(
            pool, checkout_clients.client_of, checkout_clients.held, log=log, advice=ADVICE, failures=failures
        )
        self._services = Services(
            pool=pool,
            counters=counters,
            lease=timedelta(seconds=deadline + LEASE_BEYOND),
            metrics=metrics,
            document=document,
        )
        self.app = door.application(
            OPERATIONS,
            admit=self._admit,
            enter=self._enter,
            refusal_of=refusal_of,
            log=log,
            around=[self._in_time],
        )

    @web.middleware
    async def _in_time(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every call, counted. One that takes too long leaves at most a lease behind, which runs out."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._deadline):
                response = await handler(request)
        except TimeoutError:
            log.warning("checkout.too_slow", path=request.path, seconds=self._deadline)
            detail = f"Not done within {self._deadline:g} s; nothing is lost: ask again."
            response = Refused(TOO_SLOW, detail, retry_after=LEASE_BEYOND).response()
        self._metrics.answered(request.get(OPERATION, "-"), response.status, time.perf_counter() - began)
        return response

    async def _admit(self, request: web.Request) -> None:
        """Raises Refused."""
        if (request.method, request.path) in PUBLIC:
            self._bearers.stranger(request.remote or "-")
            request[CLIENT] = NOBODY
            return
        request[CLIENT] = await self._bearers.holder(request, request.remote or "-")

    async def _enter(self, operation: AnyOperation, request: web.Request) -> web.StreamResponse:
        request[OPERATION] = operation.name
        call = Call(self._services, request[CLIENT])
        return answered(await operation.handler(call, await inputs.read(operation.asks, request)))


@cache
def document() -> bytes:
    return openapi.document(OPERATIONS, title=TITLE, about=ABOUT, root=ROOT)
