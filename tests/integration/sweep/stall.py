"""A stall beside a simulated Siglume: it sells on the platform's page, and hears of it when webhooks come."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from deploy.sandbox.core.faults import Fault
from deploy.sandbox.core.platform import Shop as SandboxShop
from deploy.sandbox.sandbox import Options, Sandbox
from shared.ledger import checkouts
from shared.ledger.books import Order
from shared.ledger.books import Shop as ShopTerms
from shared.ledger.checkout_rows import ReturnUrls
from shared.ledger.checkout_states import Step
from shared.ledger.checkouts import OpenedSession
from shared.ledger.database import connected
from shared.ledger.orders import NewOrder
from shared.ledger.sweep_rules import SweepPolicy, SweepTerms
from shared.observe.metrics import new_registry
from shared.sdrp.api.access import Access
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.errors import SiglumeApiError
from shared.sdrp.api.retries import Patience
from shared.sdrp.api.transport import Transport
from shared.sdrp.challenge import Challenge, create_challenge
from tests.given import ENDPOINT, incoming
from tests.integration.ledger.books import TestBooks
from tests.integration.sandbox.shop import Receiver, receiver
from workers.database import RetryingDatabase
from workers.reconcile.metrics import SweepMetrics
from workers.reconcile.sweep import Look, SweptEndpoint
from workers.reconcile.sweep_role import Sweep

MERCHANT = "sandbox_merchant"
TOKEN = "sandbox_merchant_token"
URLS = ReturnUrls("http://localhost:3000/thanks", "http://localhost:3000/cart")
HASTE = Patience(attempts=2, connect=1.0, attempt=2.0, deadline=3.0, first_wait=0.01, longest_wait=0.02)
AFTER = timedelta(minutes=30)
Answers = dict[str, Exception]
"""What is raised for a session in place of what the platform says of it."""


def refused(status: int) -> SiglumeApiError:
    return SiglumeApiError(f"refused with {status}", status=status, retryable=status in {429, 500})


@dataclass
class Stall:
    sandbox: Sandbox
    books: TestBooks
    receiver: Receiver
    client: MerchantClient
    policy: SweepPolicy = SweepPolicy.REVIEW
    later: timedelta = field(default_factory=timedelta)
    """By how much our clock is ahead of the platform's."""

    def now(self) -> datetime:
        return self.sandbox.now + self.later

    @property
    def access(self) -> Access:
        return Access.of(TOKEN, base_url=self.sandbox.base_url)

    @property
    def terms(self) -> SweepTerms:
        return SweepTerms(AFTER, self.policy, MERCHANT)

    async def offer(self, order_id: str = "order-1", amount_minor: int = 1200) -> str:
        """An order with a session that its buyer is sent to; the session's id."""
        new = NewOrder(order_id, amount_minor, "JPY", ENDPOINT)
        await self.books.register(new)
        async with connected(self.books.pool) as connection:
            turn = await checkouts.take_turn(
                connection, order_id, URLS, lease=timedelta(seconds=30), is_doubted=False, actor="test"
            )
            made = await self.client.create_checkout_session(
                merchant=MERCHANT,
                amount_minor=amount_minor,
                currency="JPY",
                nonce=turn.attempt.nonce,
                success_url=URLS.success,
                cancel_url=URLS.cancel,
            )
            session = OpenedSession(made.session_id, made.checkout_url, made.challenge_hash, made.expires_at)
            await checkouts.open_session(connection, turn.attempt, session, actor="test", now=datetime.now(UTC))
        return made.session_id

    async def start(self, order_id: str = "order-1") -> tuple[Step, int]:
        """What whoever starts the payment must do now, and for which attempt."""
        async with connected(self.books.pool) as connection:
            turn = await checkouts.take_turn(
                connection, order_id, URLS, lease=timedelta(seconds=30), is_doubted=False, actor="test"
            )
        return turn.step, turn.attempt.attempt

    async def challenge(self, order_id: str = "order-1") -> int:
        """The attempt whose challenge a buyer's program is given."""

        def make(order: Order, nonce: str) -> Challenge:
            return create_challenge(
                secret="edrp_sandbox_local",
                merchant=MERCHANT,
                amount_minor=order.amount_minor,
                currency=order.currency,
                nonce=nonce,
            )

        async with connected(self.books.pool) as connection:
            attempt, _ = await checkouts.give_challenge(connection, order_id, make, actor="test", now=datetime.now(UTC))
        return attempt.attempt

    async def sell(self, order_id: str = "order-1", amount_minor: int = 1200, *, drop: bool = True) -> str:
        """Paid, and its webhook lost unless it is not to be."""
        session_id = await self.offer(order_id, amount_minor)
        if drop:
            self.sandbox.switch(Fault.DROP)
        await self.sandbox.pay(session_id)
        self.sandbox.faults.clear()
        return session_id

    async def wait(self, by: timedelta = timedelta(minutes=31)) -> None:
        """Time goes by, and what is due is delivered."""
        await self.sandbox.advance(by)

    async def hear(self, *, endpoint: str = ENDPOINT) -> int:
        """Take in the webhooks that came; how many."""
        heard, self.receiver.received = self.receiver.confirmed(), []
        now = datetime.now(UTC)
        await self.books.apply(*(incoming(each.raw, endpoint=endpoint, received_at=now) for each in heard))
        return len(heard)

    def swept(self, *, clock: Callable[[], datetime] | None = None) -> SweptEndpoint:
        return SweptEndpoint(
            self.client,
            ENDPOINT,
            self.terms,
            RetryingDatabase(self.books.pool).run,
            per_minute=500,
            clock=clock or self.now,
        )

    async def look(self) -> list[Look]:
        """One turn, whenever the last one was."""
        await self.books.rows("UPDATE kessai.sweeps SET next_turn_at = '-infinity'")
        looks = await self.swept().turn(asyncio.Event())
        assert looks is not None
        return list(looks)

    async def found(self) -> list[tuple[str, str]]:
        return [(look.order_id, look.found) for look in await self.look()]

    def sweep(self, *, idle: float = 0.05, registry: CollectorRegistry | None = None) -> Sweep:
        """The worker's part."""
        return Sweep(
            RetryingDatabase(self.books.pool),
            [(ENDPOINT, self.access, self.terms)],
            per_minute=500,
            metrics=SweepMetrics(registry or new_registry()),
            clock=self.now,
            idle=idle,
        )

    async def reviews(self) -> list[tuple[str, str, str]]:
        rows = await self.books.rows("SELECT order_id, reason, state FROM kessai.reviews ORDER BY review_id")
        return [(row["order_id"], row["reason"], row["state"]) for row in rows]

    async def attempt(self, order_id: str = "order-1") -> str:
        return str(await self.books.value("SELECT state FROM kessai.checkout_attempts WHERE order_id = $1", order_id))


@asynccontextmanager
async def open_stall(books: TestBooks, *, policy: SweepPolicy = SweepPolicy.REVIEW) -> AsyncIterator[Stall]:
    async with receiver() as heard, Sandbox(Options(SandboxShop(webhook_url=heard.url))) as sandbox:
        books.shops = {ENDPOINT: ShopTerms(merchant=MERCHANT, allow_metered_payments=True)}
        access = Access.of(TOKEN, base_url=sandbox.base_url)
        async with Transport(access, patience=HASTE) as transport:
            yield Stall(sandbox, books, heard, MerchantClient(transport), policy)
