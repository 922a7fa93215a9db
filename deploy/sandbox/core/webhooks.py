"""Which events are sent where and when, and what was answered? Subscriptions, secrets, deliveries and their log."""

import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from deploy.sandbox.core import fields
from deploy.sandbox.core.events import Event
from deploy.sandbox.core.faults import Fault, Faults
from deploy.sandbox.core.refusal import Refused, not_found
from deploy.sandbox.core.timers import Timers
from deploy.sandbox.core.wire import Ids, iso
from shared.sdrp.events import CONFIRMED, SPENT
from shared.sdrp.signature import SigningSecret

RETRY_AFTER: Final = tuple(
    timedelta(seconds=seconds) for seconds in (10, 60, 10 * 60, 3600, 6 * 3600, 24 * 3600, 48 * 3600)
)
"""Between an attempt that was not answered with 2xx and the next one; after the last the delivery has failed."""
OVERLAP: Final = timedelta(hours=24)
"""How long a rotated secret still signs beside its successor."""
GONE: Final = 410


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    FAILED = "failed"


class Secret(NamedTuple):
    text: str
    until: datetime | None
    """None for the current one."""

    def signs_at(self, moment: datetime) -> bool:
        return self.until is None or moment < self.until


@dataclass(frozen=True, slots=True)
class Subscription:
    id: str
    owner: str
    callback_url: str
    event_types: frozenset[str]
    secrets: tuple[Secret, ...]
    """The newest first."""
    created_at: datetime
    description: str | None = None
    is_active: bool = True

    @property
    def hint(self) -> str:
        """The last characters of the newest secret, by which its owner knows it."""
        return self.secrets[0].text[-4:]


@dataclass(frozen=True, slots=True)
class Delivery:
    id: str
    subscription_id: str
    event: Event
    created_at: datetime
    is_retried: bool
    status: DeliveryStatus = DeliveryStatus.PENDING
    attempts: int = 0
    response_status: int | None = None
    delivered_at: datetime | None = None
    next_attempt_at: datetime | None = None


class Attempt(NamedTuple):
    """One request to make now."""

    delivery_id: str
    url: str
    signed: bytes
    """The bytes that are signed."""
    sent: bytes
    """The bytes that are posted; others only when they are tampered with on purpose."""
    secrets: tuple[SigningSecret, ...]
    age: int
    """Seconds by which the timestamp lies in the past."""


class Webhooks:
    """Decides what to send and records the answers; `attempts` holds what is due now."""

    def __init__(self, ids: Ids, timers: Timers, faults: Faults, now: Callable[[], datetime]) -> None:
        self._ids = ids
        self._timers = timers
        self._faults = faults
        self._now = now
        self._subscriptions: dict[str, Subscription] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._newest_first: deque[str] = deque()
        self._held: dict[str, list[str]] = {}
        self.attempts: deque[Attempt] = deque()

    def subscribe(
        self,
        owner: str,
        callback_url: str,
        event_types: Sequence[str] | None = None,
        *,
        secret: str | None = None,
        description: str | None = None,
    ) -> Subscription:
        """Raises Refused when nothing could be delivered there, UnusableSecret when nothing could be signed."""
        fields.url(callback_url, "callback_url")
        secret = _new_secret() if secret is None else secret
        SigningSecret.from_text(secret)
        subscription = Subscription(
            id=self._ids.next("whsub"),
            owner=owner,
            callback_url=callback_url,
            event_types=frozenset(event_types or (CONFIRMED, SPENT)),
            secrets=(Secret(secret, None),),
            created_at=self._now(),
            description=description,
        )
        return self._keep(subscription)

    def owned(self, subscription_id: str, owner: str) -> Subscription:
        """Raises Refused, also when it is another user's: ids are nobody's business."""
        subscription = self.find_subscription(subscription_id)
        if subscription.owner != owner:
            raise not_found("webhook subscription", subscription_id)
        return subscription

    def find_subscription(self, subscription_id: str) -> Subscription:
        """Raises Refused."""
        subscription = self._subscriptions.get(subscription_id)
        if subscription is None:
            raise not_found("webhook subscription", subscription_id)
        return subscription

    def of(self, owner: str) -> list[Subscription]:
        return [subscription for subscription in self._subscriptions.values() if subscription.owner == owner]

    def every(self) -> Sequence[Subscription]:
        return list(self._subscriptions.values())

    def rotate(self, subscription: Subscription, *, overlap: timedelta = OVERLAP) -> Subscription:
        """A new secret; the one before it signs beside it for the time of the overlap."""
        now = self._now()
        newest, *_ = subscription.secrets
        fresh = (Secret(_new_secret(), None), Secret(newest.text, now + overlap))
        return self._keep(replace(subscription, secrets=fresh, is_active=True))

    def send(self, event: Event, owner: str) -> None:
        """To every active subscription of that user to this type of event."""
        for subscription in self.of(owner):
            if subscription.is_active and event.type in subscription.event_types:
                self.deliver(event, subscription)

    def deliver(self, event: Event, subscription: Subscription, *, is_retried: bool = True) -> Delivery:
        """Once, to this one, now."""
        delivery = Delivery(
            id=self._ids.next("whdel"),
            subscription_id=subscription.id,
            event=event,
            created_at=self._now(),
            is_retried=is_retried,
        )
        self._deliveries[delivery.id] = delivery
        self._newest_first.appendleft(delivery.id)
        self._first_attempt(delivery)
        return delivery

    def redeliver(self, delivery_id: str) -> Delivery:
        """The same event by hand, signed anew; a delivery of its own. Raises Refused."""
        delivery = self.find(delivery_id)
        subscription = self._subscriptions[delivery.subscription_id]
        if not subscription.is_active:
            raise Refused(409, "SUBSCRIPTION_DISABLED", f"subscription {subscription.id} takes no deliveries any more")
        return self.deliver(delivery.event, subscription, is_retried=False)

    def find(self, delivery_id: str) -> Delivery:
        """Raises Refused."""
        delivery = self._deliveries.get(delivery_id)
        if delivery is None:
            raise not_found("webhook delivery", delivery_id)
        return delivery

    def log(self) -> Iterator[Delivery]:
        """The newest first."""
        return (self._deliveries[name] for name in self._newest_first)

    def answered(self, delivery_id: str, status: int | None, *, attempted_at: datetime) -> None:
        """Record the status of an attempt; None when there was no answer."""
        delivery = self._deliveries[delivery_id]
        if status == GONE:
            subscription = self._subscriptions[delivery.subscription_id]
            self._keep(replace(subscription, is_active=False))
        answered = replace(delivery, attempts=delivery.attempts + 1, response_status=status, next_attempt_at=None)
        if status is not None and 200 <= status < 300:
            answered = replace(answered, status=DeliveryStatus.DELIVERED, delivered_at=attempted_at)
        elif status == GONE or not answered.is_retried or answered.attempts > len(RETRY_AFTER):
            answered = replace(answered, status=DeliveryStatus.FAILED)
        else:
            at = attempted_at + RETRY_AFTER[answered.attempts - 1]
            answered = replace(answered, status=DeliveryStatus.RETRYING, next_attempt_at=at)
            self._timers.plan(at, lambda: self._attempt(delivery_id))
        self._deliveries[delivery_id] = answered
        self._release(delivery.subscription_id)

    def _first_attempt(self, delivery: Delivery) -> None:
        """Where what happens to whole deliveries on purpose happens."""
        delay = timedelta(seconds=self._faults.seconds(Fault.DELAY))
        hold = timedelta(seconds=self._faults.seconds(Fault.REORDER))
        if self._faults.strikes(Fault.DROP):
            self._deliveries[delivery.id] = replace(delivery, status=DeliveryStatus.FAILED)
        elif self._faults.strikes(Fault.DELAY):
            self._later(delivery, delay)
        elif self._faults.strikes(Fault.REORDER):
            self._held.setdefault(delivery.subscription_id, []).append(delivery.id)
            self._later(delivery, hold)
        else:
            self._attempt(delivery.id)

    def _later(self, delivery: Delivery, wait: timedelta) -> None:
        at = self._now() + wait
        self._deliveries[delivery.id] = replace(delivery, next_attempt_at=at)
        self._timers.plan(at, lambda: self._attempt_if_waiting(delivery.id, at))

    def _release(self, subscription_id: str) -> None:
        """A later delivery has gone: now those that it was to overtake."""
        for delivery_id in self._held.pop(subscription_id, ()):
            self._attempt_if_waiting(delivery_id, self._deliveries[delivery_id].next_attempt_at)

    def _attempt_if_waiting(self, delivery_id: str, since: datetime | None) -> None:
        delivery = self._deliveries[delivery_id]
        if since is not None and delivery.next_attempt_at == since:
            self._deliveries[delivery_id] = replace(delivery, next_attempt_at=None)
            self._attempt(delivery_id)

    def _attempt(self, delivery_id: str) -> None:
        delivery = self._deliveries[delivery_id]
        subscription = self._subscriptions[delivery.subscription_id]
        if not subscription.is_active:
            self._deliveries[delivery_id] = replace(delivery, status=DeliveryStatus.FAILED, next_attempt_at=None)
            return
        self.attempts.append(self._request(delivery, subscription))
        if delivery.attempts == 0 and self._faults.strikes(Fault.DUPLICATE):
            copy = replace(delivery, id=self._ids.next("whdel"))
            self._deliveries[copy.id] = copy
            self._newest_first.appendleft(copy.id)
            self.attempts.append(self._request(copy, subscription))

    def _request(self, delivery: Delivery, subscription: Subscription) -> Attempt:
        now, raw = self._now(), delivery.event.raw
        age = round(self._faults.seconds(Fault.STALE))
        return Attempt(
            delivery_id=delivery.id,
            url=subscription.callback_url,
            signed=raw,
            sent=_tampered(raw) if self._faults.strikes(Fault.TAMPER) else raw,
            secrets=tuple(SigningSecret.from_text(each.text) for each in subscription.secrets if each.signs_at(now)),
            age=age if self._faults.strikes(Fault.STALE) else 0,
        )

    def _keep(self, subscription: Subscription) -> Subscription:
        self._subscriptions[subscription.id] = subscription
        return subscription


def subscription_view(subscription: Subscription, *, with_secret: bool = False) -> dict[str, Any]:
    """The secret is shown when it is made, and only then."""
    shown = {
        "id": subscription.id,
        "subscription_id": subscription.id,
        "webhook_subscription_id": subscription.id,
        "callback_url": subscription.callback_url,
        "description": subscription.description,
        "event_types": sorted(subscription.event_types),
        "status": "active" if subscription.is_active else "disabled",
        "signing_secret_hint": subscription.hint,
        "created_at": iso(subscription.created_at),
        "metadata": {"environment": "sandbox"},
    }
    return shown | {"signing_secret": subscription.secrets[0].text} if with_secret else shown


def delivery_view(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "subscription_id": delivery.subscription_id,
        "event_id": delivery.event.id,
        "event_type": delivery.event.type,
        "delivery_status": delivery.status,
        "response_status": delivery.response_status,
        "attempt_count": delivery.attempts,
        "created_at": iso(delivery.created_at),
        "delivered_at": iso(delivery.delivered_at),
        "next_attempt_at": iso(delivery.next_attempt_at),
    }


def _new_secret() -> str:
    return f"whsec_{secrets.token_hex(24)}"


def _tampered(raw: bytes) -> bytes:
    """Other bytes that still read as JSON: a digit of the body is another one."""
    for place in range(len(raw) - 1, -1, -1):
        if raw[place : place + 1].isdigit():
            return raw[:place] + (b"1" if raw[place : place + 1] != b"1" else b"2") + raw[place + 1 :]
    return raw + b" "
