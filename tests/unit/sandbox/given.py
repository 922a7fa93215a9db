"""What tests of the sandbox's core are given: a platform whose clock stands, a shop, and buyers who pay."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from deploy.sandbox.core.batches import Batch, BatchStatus
from deploy.sandbox.core.checkout import Session
from deploy.sandbox.core.people import user_of
from deploy.sandbox.core.platform import Platform, Shop
from shared.sdrp.money import Currency

START = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
HOOK = "http://127.0.0.1:9/webhooks"
SHOP = Shop(webhook_url=HOOK)
OWNER = user_of(SHOP.token)


class Town:
    """A platform, one shop, and a clock that a test moves."""

    def __init__(self, *, seed: int = 0) -> None:
        self.platform = Platform(SHOP, start=START, seed=seed, run="t")
        self._sold = 0

    def open(self, **changes: object) -> Session:
        """1200 yen, unless it is changed."""
        self._sold += 1
        body: dict[str, object] = {
            "merchant": SHOP.merchant,
            "amount_minor": 1200,
            "currency": "JPY",
            "nonce": f"order-{self._sold}-attempt_1",
            "success_url": f"{SHOP.origin}/thanks",
            "cancel_url": f"{SHOP.origin}/cart",
            "metadata": {"order_id": f"order-{self._sold}"},
        }
        session, _ = self.platform.checkout.open(OWNER, body | changes)
        return session

    def sell(self, amount_minor: int, currency: str = "JPY", *, buyer: str = "ann") -> Session:
        return self.platform.checkout.pay(self.open(amount_minor=amount_minor, currency=currency).id, user_of(buyer))

    def wait(self, **span: float) -> None:
        """Every webhook that is due meanwhile is delivered and answered 204."""
        until = self.platform.now + timedelta(**span)
        self.answer()
        while (due := self.platform.next_at) is not None and due <= until:
            self.platform.step_to(until)
            self.answer()
        self.platform.step_to(until)

    def move_to(self, until: datetime) -> None:
        """Nobody answers meanwhile."""
        while (due := self.platform.next_at) is not None and due <= until:
            self.platform.step_to(until)
        self.platform.step_to(until)

    def answer(self, status: int | None = 204) -> list[dict[str, Any]]:
        """Answer what is due; the events that were sent."""
        sent = []
        for _ in range(len(self.platform.webhooks.attempts)):
            attempt = self.platform.webhooks.attempts.popleft()
            sent.append(orjson.loads(attempt.sent))
            self.platform.webhooks.answered(attempt.delivery_id, status, attempted_at=self.platform.now)
        return sent

    @property
    def batches(self) -> list[Batch]:
        return list(self.platform.settlement.every())

    @property
    def batch(self) -> Batch:
        (batch,) = self.batches
        return batch

    @property
    def states(self) -> list[BatchStatus]:
        return [batch.status for batch in self.batches]

    def wait_for(self, *states: BatchStatus, within_days: int = 60) -> Batch:
        """Step by step until the only batch is in one of these states."""
        until = self.platform.now + timedelta(days=within_days)
        while not self.batches or self.batch.status not in states:
            assert self.platform.now < until, f"still {self.states}"
            self.platform.step_to(until)
            self.answer()
        return self.batch


def totals(town: Town, currency: Currency = Currency.JPY) -> dict[str, Decimal]:
    found = town.platform.books().totals[currency]
    return {name: getattr(found, name) for name in ("settled", "unsettled", "past_due", "uncollectible", "written_off")}
