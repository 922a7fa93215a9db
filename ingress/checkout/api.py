"""The checkout API as an application: a call is timed, its token is checked, and its operation is run."""

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from ingress.api import inputs, openapi
from ingress.api.answers import answered
from ingress.api.application import application
from ingress.api.authentication import TokenAuthentication
from ingress.api.failures import Failures
from ingress.api.problems import Refused
from ingress.checkout.call import Call, EndpointCheckout, Services
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
"""The caller of what needs no token. No endpoint has this name, so it has no orders."""
LEASE_BEYOND: Final = 5.0
"""Seconds for which an attempt stays leased after the deadline of the call that leased it."""
TITLE: Final = "Kessai checkout API"
ABOUT: Final = (
    "For a merchant's own systems: set what an order costs, send its buyer to Siglume's page to pay, or give a "
    "buyer's program a challenge. A call carries `Authorization: Bearer ...` with a token of "
    "`kessai checkout-clients add`, valid for one endpoint's orders; keep it out of browsers. Amounts are whole minor "
    "units, times are UTC. Every call may be repeated: it does nothing twice. The `code` of an error says what "
    "to do about it."
)
ADVICE: Final = "`kessai checkout-clients list` shows which are live, `kessai checkout-clients add` issues another."


class CheckoutApi:
    """Routes calls to the operations of the table."""

    def __init__(
        self,
        *,
        pool: Pool,
        checkouts: Mapping[str, EndpointCheckout],
        metrics: CheckoutMetrics,
        deadline: float,
        failures: Failures | None = None,
    ) -> None:
        """`pool` has the connection settings of workers; a call is given up after `deadline` seconds."""
        self._metrics = metrics
        self._deadline = deadline
        self._bearers = TokenAuthentication(
            pool, checkout_clients.client_of, checkout_clients.held, log=log, advice=ADVICE, failures=failures
        )
        self._services = Services(
            pool=pool,
            checkouts=checkouts,
            lease=timedelta(seconds=deadline + LEASE_BEYOND),
            metrics=metrics,
            document=document,
        )
        self.app = application(
            OPERATIONS,
            admit=self._admit,
            enter=self._enter,
            refusal_of=refusal_of,
            log=log,
            around=[self._in_time],
        )

    @web.middleware
    async def _in_time(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts every call, and ends one that takes too long: at most it leaves a lease behind, which runs out."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._deadline):
                response = await handler(request)
        except TimeoutError:
            log.warning("checkout.too_slow", path=request.path, seconds=self._deadline)
            detail = f"Not done within {self._deadline:g} s; nothing is lost: try again."
            response = Refused(TOO_SLOW, detail, retry_after=LEASE_BEYOND).response()
        self._metrics.answered(request.get(OPERATION, "-"), response.status, time.perf_counter() - began)
        return response

    async def _admit(self, request: web.Request) -> None:
        """Raises Refused."""
        if (request.method, request.path) in PUBLIC:
            self._bearers.admit_anonymous(request.remote or "-")
            request[CLIENT] = NOBODY
            return
        request[CLIENT] = await self._bearers.holder(request, request.remote or "-")

    async def _enter(self, operation: AnyOperation, request: web.Request) -> web.StreamResponse:
        request[OPERATION] = operation.name
        call = Call(self._services, request[CLIENT])
        return answered(await operation.handler(call, await inputs.read(operation.params, request)))


@cache
def document() -> bytes:
    return openapi.document(OPERATIONS, title=TITLE, about=ABOUT, root=ROOT)
