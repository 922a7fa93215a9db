"""A scene of the demo: requests of one sort, and the outcomes that they must have."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from yarl import URL

from deploy.sending.events import build, dump, hash_of, pay
from deploy.sending.kinds import Kind
from deploy.sending.post import Posting
from shared.ledger.orders import NewOrder
from shared.sdrp.challenge import create_challenge
from shared.sdrp.money import Currency
from shared.sdrp.signature import SigningSecret

CHALLENGE_SECRET = "demo-challenge-secret"  # noqa: S105 - for orders that exist only in the demo


@dataclass(frozen=True, slots=True)
class Shop:
    """An endpoint of the demo, and how to reach it."""

    endpoint: str
    merchant: str
    secret: SigningSecret
    url: URL


@dataclass(frozen=True, slots=True)
class Scene:
    """Some requests of one sort."""

    name: str
    """Part of the ids in it, by which its events are found again."""
    title: str
    postings: tuple[Posting, ...]
    expected: Counter[str]
    """The outcomes that they must have, as `fate` writes them, and how often."""
    orders: tuple[NewOrder, ...] = ()
    late_orders: tuple[NewOrder, ...] = ()
    """Orders that are registered only after the webhooks arrived."""
    cancelled: tuple[str, ...] = ()
    """Orders that are cancelled before the webhooks arrive."""


def fate(outcome: str, reason: str | None = None) -> str:
    """Return the outcome and the reason of an event, as the report prints them."""
    return f"{outcome.replace('_', ' ')}: {reason}" if reason else outcome


@dataclass(frozen=True, slots=True)
class Payment:
    """An order and the event that pays it, before it is signed."""

    order: NewOrder
    event: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.event["data"]
        return data


@dataclass(frozen=True, slots=True)
class Casting:
    """Makes orders and events whose ids name the run and the scene."""

    run: str
    shop: Shop
    scene: str
    now: datetime

    def key(self, number: int, suffix: str = "") -> str:
        return f"{self.run}_{self.scene}_{number:04}{suffix}"

    def event(self, kind: Kind, number: int, suffix: str = "") -> dict[str, Any]:
        at = self.now - timedelta(seconds=number % 3600)
        return build(kind, key=self.key(number, suffix), at=at, merchant=self.shop.merchant)

    def order(self, number: int, amount_minor: int, currency: Currency) -> NewOrder:
        order_id = f"demo-{self.run}-{self.scene}-{number:04}"
        challenge = create_challenge(
            secret=CHALLENGE_SECRET,
            merchant=self.shop.merchant,
            amount_minor=amount_minor,
            currency=currency,
            nonce=f"{order_id}-attempt_1",
        )
        return NewOrder(order_id, amount_minor, currency, self.shop.endpoint, challenge.hash)

    def payment(self, number: int) -> Payment:
        """Return a payment in the standard band: in yen, every third in dollars."""
        dollars = number % 3 == 2
        amount = 301 + number * 17 % 9000 if dollars else 501 + number * 31 % 50_000
        order = self.order(number, amount, Currency.USD if dollars else Currency.JPY)
        return self._paying(Kind.STANDARD_SETTLED, order, number)

    def usage(self, number: int) -> Payment:
        """Return micro usage, every fourth nano."""
        order = self.order(number, 1 + number % 49 if number % 4 == 3 else 50 + number % 451, Currency.JPY)
        return self._paying(Kind.METERED_USAGE_ACCEPTED, order, number)

    def again(self, payment: Payment, number: int) -> Payment:
        """Return the same payment under another event id."""
        return Payment(payment.order, {**payment.event, "id": f"evt_{self.key(number, 'b')}"})

    def scene_of(self, title: str, payments: Sequence[Payment], became: str) -> Scene:
        """Return a scene of registered orders, each with one event that is signed and sent."""
        return Scene(
            self.scene,
            title,
            tuple(self.sent(payment.event) for payment in payments),
            Counter({became: len(payments)}),
            orders=tuple(payment.order for payment in payments),
        )

    def sent(self, event: dict[str, Any]) -> Posting:
        return self.raw(dump(event))

    def raw(self, body: bytes) -> Posting:
        return Posting(self.shop.url, body, self.shop.secret, label=self.scene)

    def _paying(self, kind: Kind, order: NewOrder, number: int) -> Payment:
        event = self.event(kind, number)
        pay(
            event,
            amount_minor=order.amount_minor,
            currency=order.currency,
            challenge_hash=order.challenge_hash or hash_of(order.order_id),
        )
        return Payment(order, event)
