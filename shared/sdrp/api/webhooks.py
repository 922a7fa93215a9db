"""Where does Siglume post its webhooks, and what was the result of each delivery?"""

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
    """Empty when the platform does not state them; then any type may be sent."""
    signing_secret: SecretStr | None
    """Present only in the answer that creates the subscription."""
    signing_secret_hint: str | None
    """The last characters of the secret."""

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
    """One attempt to deliver an event, or all attempts together: the platform states no more than this."""

    delivery_id: str | None
    subscription_id: str | None
    event_id: str | None
    event_type: str | None
    delivery_status: str | None
    """For example `delivered` or `failed`."""
    response_status: int | None
    """The status that the callback answered."""
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
    """Finds the delivery in the log."""

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
        """Create another subscription; the answer has its secret. Not retried when that answer is lost."""
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
        """Let Siglume post a signed test event. Not retried when its answer is lost: that would send another event."""
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
        """The latest deliveries: the platform filters neither by dates nor by a cursor."""
        call = "list_webhook_deliveries"
        filters = {"subscription_id": subscription_id, "event_type": event_type, "status": status, "limit": limit}
        data = await self._sender.call(get(call, DELIVERIES, values.checked(filters, _DELIVERY)))
        return read_all(_list(data, call), call, WebhookDelivery.read)


def _list(data: object, call: str) -> list[object]:
    """Stricter than the SDK, which reads any other value as an empty list."""
    if not isinstance(data, list):
        raise UnusableAnswer(f"Siglume's answer to {call} is no list: report it to Siglume")
    return data
