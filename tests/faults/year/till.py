"""How does the shop sell? Through `kessai checkout`; of some sales the books hear late, and of a few never."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from aiohttp import ClientSession

from deploy.sandbox.core.checkout import Session
from deploy.sandbox.core.faults import Fault, Setting
from deploy.sandbox.core.people import user_of
from deploy.sandbox.core.refusal import Refused
from deploy.sandbox.sandbox import Sandbox
from ingress.checkout.refusals import NOT_ENABLED
from shared.ledger import checkouts, orders
from shared.ledger.checkout_rows import ReturnUrls
from shared.ledger.checkout_states import Attempt
from shared.ledger.checkouts import OpenedSession, Turn
from shared.ledger.database import Connection
from shared.ledger.orders import NewOrder
from shared.sdrp.challenge import challenge_hash
from tests.given import ENDPOINT
from workers.database import RetryingDatabase

LATE, NEVER = 10, 97
"""Of one order in so many the session is written down after its payment, or nothing ever is."""
LEASE: Final = timedelta(minutes=5)
TRIES: Final = 20
ACTOR: Final = "test"


class Wanted(NamedTuple):
    """What a buyer puts down at the till."""

    number: int
    amount_minor: int
    currency: str

    @property
    def order_id(self) -> str:
        return f"order-{self.number}"

    @property
    def is_forgotten(self) -> bool:
        return self.number % NEVER == 0

    @property
    def is_late(self) -> bool:
        return self.number % LATE == 0


@dataclass(slots=True)
class Till:
    sandbox: Sandbox
    books: RetryingDatabase
    checkout: ClientSession
    """Of `kessai checkout`, with a token."""
    forgotten: list[NewOrder] = field(default_factory=list)
    """Orders that were never registered."""
    _unwritten: list[tuple[Attempt, OpenedSession]] = field(default_factory=list)

    async def offer(self, wanted: Wanted) -> str | None:
        """The session that a buyer is sent to; None when the platform opens none now."""
        if not (wanted.is_forgotten or wanted.is_late):
            return await self._through_checkout(wanted)
        turn = None if wanted.is_forgotten else await self.books.run(partial(self._begin, wanted=wanted))
        try:
            session = self._open(wanted, wanted.order_id if turn is None else turn.attempt.nonce)
        except Refused:
            return None
        told = challenge_hash(session.order.challenge)
        if turn is None:
            self.forgotten.append(NewOrder(wanted.order_id, wanted.amount_minor, wanted.currency, ENDPOINT, told))
        else:
            page = f"{self.sandbox.root_url}/pay/{session.id}"
            self._unwritten.append((turn.attempt, OpenedSession(session.id, page, told, session.expires_at)))
        return session.id

    async def write_down(self) -> None:
        """What the platform answered while the checkout was held up: buyers were faster."""
        for attempt, session in self._unwritten:
            await self.books.run(partial(_keep, attempt=attempt, session=session))
        self._unwritten.clear()

    @contextmanager
    def telling_of(self, wanted: Wanted) -> Iterator[None]:
        """A payment without an order, a session and a webhook is known to the platform alone: no webhook is dropped."""
        faults = self.sandbox.faults
        setting = faults.settings.get(Fault.DROP) if wanted.is_forgotten else None
        if setting is not None:
            faults.switch(Fault.DROP, Setting(0))
        try:
            yield
        finally:
            if setting is not None:
                faults.switch(Fault.DROP, setting)

    async def _through_checkout(self, wanted: Wanted) -> str | None:
        path = f"/orders/{wanted.order_id}"
        await self._asked("PUT", path, amount_minor=wanted.amount_minor, currency=wanted.currency)
        started = await self._asked("POST", f"{path}/checkout")
        return None if started is None else str(started["session_id"])

    async def _asked(self, method: str, path: str, **body: object) -> dict[str, Any] | None:
        """The answer, asked for until it is there; None where Hosted Checkout is not enabled."""
        for _ in range(TRIES):
            async with self.checkout.request(method, path, json=body) as answer:
                told: dict[str, Any] = await answer.json(content_type=None)
            if answer.status in (200, 201):
                return told
            if told.get("code") == NOT_ENABLED.code:
                return None
            assert answer.status in (202, 503), told
            await asyncio.sleep(0.1)
        raise AssertionError(f"{method} {path} is never answered: {told}")

    async def _begin(self, connection: Connection, wanted: Wanted) -> Turn:
        """As `kessai checkout` does it before it asks the platform."""
        order = NewOrder(wanted.order_id, wanted.amount_minor, wanted.currency, ENDPOINT)
        await orders.register(connection, [order], actor=ACTOR, now=datetime.now(UTC))
        origin = self.sandbox.options.shop.origin
        urls = ReturnUrls(origin, origin)
        return await checkouts.take_turn(connection, order.order_id, urls, lease=LEASE, is_doubted=False, actor=ACTOR)

    def _open(self, wanted: Wanted, nonce: str) -> Session:
        """Raises Refused."""
        shop = self.sandbox.options.shop
        body = {"merchant": shop.merchant, "amount_minor": wanted.amount_minor, "currency": wanted.currency}
        body |= {"nonce": nonce, "success_url": shop.origin, "cancel_url": shop.origin}
        body |= {"metadata": {"order_id": wanted.order_id}}
        session, _ = self.sandbox.platform.checkout.open(user_of(shop.token), body)
        return session


async def _keep(connection: Connection, attempt: Attempt, session: OpenedSession) -> None:
    """As `kessai checkout` does it once the platform has answered."""
    await checkouts.open_session(connection, attempt, session, actor=ACTOR, now=datetime.now(UTC))
