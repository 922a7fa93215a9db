"""A shop beside a sandbox: what its webhook receives, and the official SDK as its client and its buyers' client."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from aiohttp import web
from siglume_direct_request_payment import (
    DirectRequestPaymentClient,
    DirectRequestPaymentMerchantClient,
    HostedCheckoutSession,
    SiglumeWebhookSignatureError,
    classify_direct_payment_confirmation,
    verify_direct_request_payment_webhook,
)

from deploy.sandbox.core.platform import Shop
from deploy.sandbox.sandbox import Options, Sandbox
from shared.observe.listening import bind, port_of

START = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
ORIGIN = "http://localhost:3000"
WEBHOOK_SECRET = "whsec_sandbox_local"
ANN = "ann"
MERCHANT_TOKEN = "sandbox_merchant_token"
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Received:
    """One webhook as it came."""

    raw: bytes
    headers: Mapping[str, str]

    @property
    def signature(self) -> str:
        return self.headers["Siglume-Signature"]

    def verified(self, secret: str = WEBHOOK_SECRET) -> dict[str, Any]:
        """The event, if the official SDK believes it."""
        event = verify_direct_request_payment_webhook(secret, self.raw, self.signature)["event"]
        assert isinstance(event, dict)
        return event

    def kind(self) -> str:
        """What the official SDK takes it for."""
        return str(classify_direct_payment_confirmation(self.verified())["kind"])


@dataclass(slots=True)
class Receiver:
    """Verifies each webhook with the SDK and answers 204, or 401; unless a test has it answer otherwise."""

    url: str
    received: list[Received] = field(default_factory=list)
    answers: deque[int] = field(default_factory=deque)
    """What the next ones are answered."""

    async def take(self, request: web.Request) -> web.Response:
        received = Received(await request.read(), request.headers)
        self.received.append(received)
        if self.answers:
            return web.Response(status=self.answers.popleft())
        try:
            received.verified()
        except SiglumeWebhookSignatureError:
            return web.Response(status=401)
        return web.Response(status=204)

    def confirmed(self) -> list[Received]:
        """Those that came, other than `direct_payment.spent`."""
        return [each for each in self.received if b'"direct_payment.spent"' not in each.raw]


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    bound = bind("127.0.0.1", 0)
    found = Receiver(f"http://127.0.0.1:{port_of(bound)}/payments/webhooks/siglume")
    app = web.Application()
    app.router.add_post("/payments/webhooks/siglume", found.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, bound).start()
    try:
        yield found
    finally:
        await runner.cleanup()


def options(webhook_url: str | None, *, deliveries_at_once: int = 1) -> Options:
    """A clock that stands, and webhooks in exact order."""
    return Options(Shop(webhook_url=webhook_url), start=START, deliveries_at_once=deliveries_at_once)


def merchant(sandbox: Sandbox, token: str = MERCHANT_TOKEN) -> DirectRequestPaymentMerchantClient:
    return DirectRequestPaymentMerchantClient(auth_token=token, base_url=sandbox.base_url)


def buyer(sandbox: Sandbox, token: str = ANN) -> DirectRequestPaymentClient:
    return DirectRequestPaymentClient(auth_token=token, base_url=sandbox.base_url)


async def call(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """The SDK blocks: in a thread, or the sandbox could not answer it."""
    return await asyncio.to_thread(function, *arguments, **named)


async def open_session(
    sandbox: Sandbox, order: str = "order-1", amount_minor: int = 1200, currency: str = "JPY"
) -> HostedCheckoutSession:
    """Always the same one for the same order."""
    return await call(
        merchant(sandbox).create_checkout_session,
        merchant="sandbox_merchant",
        amount_minor=amount_minor,
        currency=currency,
        nonce=f"{order}-attempt_1",
        success_url=f"{ORIGIN}/thanks",
        cancel_url=f"{ORIGIN}/cart",
        metadata={"order_id": order},
    )


async def sell(sandbox: Sandbox, order: str = "order-1", amount_minor: int = 1200, currency: str = "JPY") -> str:
    """Open a session with the SDK and pay it as ann; the session's id."""
    session = await open_session(sandbox, order, amount_minor, currency)
    await sandbox.pay(session["session_id"], buyer=ANN)
    return str(session["session_id"])
