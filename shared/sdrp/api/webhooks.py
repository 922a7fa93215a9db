"""Where Siglume posts its webhooks, and what became of each delivery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Self

from pydantic import SecretStr

from shared.sdrp.api import values
from shared.sdrp.api.calls import Calls
from shared.sdrp.api.errors import UnusableAnswer
from shared.sdrp.api.records import Record, read_all
from shared.sdrp.api.requests import get, post
from shared.sdrp.events import CONFIRMED, SPENT

SUBSCRIPTIONS = "/market/webhooks/subscriptions"
TEST_DELIVERIES = "/market/webhooks/test-deliveries"
DELIVERIES = "/market/webhooks/deliveries"

_SUBSCRIPTION: Mapping[str, values.Check] = MappingProxyType(
    {"description": values.text, "metadata": values.json_object}
)
_TEST: Mapping[str, values.Check] = MappingProxyType({"data": values.json_object, "subscription_ids": values.texts})
_DELIVERY: Mapping[str, values.Check] = MappingProxyType(
    {
        "subscription_id": values.text,
        "event_type": values.text,
        "status": values.text,
        "limit": values.positive_integer,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSubscription:
    subscription_id: str
    callback_url: str | None
    status: str | None
    event_types: tuple[str, ...]
    """Empty when the platform does not say; then every type may come."""
    signing_secret: SecretStr | None
    """Only in the answer that creates it."""
    signing_secret_hint: str | None
    """How the secret ends."""

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            subscription_id=record.text(record.first_of("id", "webhook_subscription_id", "subscription_id")),
            callback_url=record.text_or_none("callback_url", 2048),
            status=record.text_or_none("status"),
            event_types=record.texts("event_types"),
            signing_secret=record.secret_or_none("signing_secret"),
            signing_secret_hint=record.text_or_none("signing_secret_hint"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One attempt to hand over an event, or all of them: the platform gives no more than this."""

    delivery_id: str | None
    subscription_id: str | None
    event_id: str | None
    event_type: str | None
    delivery_status: str | None
    """Such as `delivered` or `failed`."""
    response_status: int | None
    """What the callback answered."""
    delivered_at: datetime | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            delivery_id=record.text_or_none("id"),
            subscription_id=record.text_or_none("subscription_id"),
            event_id=record.text_or_none("event_id"),
            event_type=record.text_or_none("event_type"),
            delivery_status=record.text_or_none("delivery_status"),
            response_status=record.integer_or_none("response_status"),
            delivered_at=record.time_or_none("delivered_at"),
        )


@dataclass(frozen=True, slots=True)
class QueuedTestDelivery:
    event_id: str | None
    """By which its delivery is found."""

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        event = record.object_or_none("event")
        return cls(None if event is None else Record(event, "event").text_or_none("id"))


class WebhookCalls(Calls):
    """Needs the merchant's token."""

    async def create_webhook_subscription(
        self,
        *,
        callback_url: str,
        description: str | None = None,
        event_types: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> WebhookSubscription:
        """A new subscription each time, with its secret in the answer. Not repeated when that answer is lost."""
        call = "create_webhook_subscription"
        body: dict[str, object] = {
            "callback_url": values.webhook_url(callback_url, "callback_url"),
            "event_types": values.texts(event_types or [CONFIRMED, SPENT], "event_types"),
        }
        body |= values.checked({"description": description, "metadata": metadata}, _SUBSCRIPTION)
        data = await self._sender.call(post(call, SUBSCRIPTIONS, body, repeatable=False))
        return WebhookSubscription.read(Record(data, call))

    async def list_webhook_subscriptions(self) -> tuple[WebhookSubscription, ...]:
        call = "list_webhook_subscriptions"
        data = await self._sender.call(get(call, SUBSCRIPTIONS))
        return read_all(_list(data, call), call, WebhookSubscription.read)

    async def queue_webhook_test_delivery(
        self, *, event_type: str, data: Mapping[str, Any] | None = None, subscription_ids: Sequence[str] | None = None
    ) -> QueuedTestDelivery:
        """Let Siglume post a signed test event. Not repeated when its answer is lost: another event would go out."""
        call = "queue_webhook_test_delivery"
        body: dict[str, object] = {"event_type": values.text(event_type, "event_type")}
        body |= values.checked({"data": data, "subscription_ids": subscription_ids}, _TEST)
        answer = await self._sender.call(post(call, TEST_DELIVERIES, body, repeatable=False))
        return QueuedTestDelivery.read(Record(answer, call))

    async def list_webhook_deliveries(
        self,
        *,
        subscription_id: str | None = None,
        event_type: str | None = None,
        status: str | None = None,
        limit: int | None = None,
    ) -> tuple[WebhookDelivery, ...]:
        """The latest ones: the platform has neither dates nor a cursor to ask by."""
        call = "list_webhook_deliveries"
        asked = {"subscription_id": subscription_id, "event_type": event_type, "status": status, "limit": limit}
        data = await self._sender.call(get(call, DELIVERIES, values.checked(asked, _DELIVERY)))
        return read_all(_list(data, call), call, WebhookDelivery.read)


def _list(data: object, call: str) -> list[object]:
    """Stricter than the SDK, which takes whatever is no list for an empty one."""
    if not isinstance(data, list):
        raise UnusableAnswer(f"Siglume's answer to {call} is no list: report it to Siglume")
    return data
