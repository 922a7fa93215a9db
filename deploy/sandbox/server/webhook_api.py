"""What the owner of a webhook calls: subscriptions, their secrets, test deliveries and the log."""

from datetime import timedelta
from itertools import islice

from deploy.sandbox.core import fields
from deploy.sandbox.core.refusal import Refused, invalid
from deploy.sandbox.core.webhooks import delivery_view, subscription_view
from deploy.sandbox.server.call import Answer, Call, Route
from shared.sdrp.events import READINESS_PROBE

USUAL_LIMIT = 50
LOG_AT_MOST = 200
LONGEST_OVERLAP_HOURS = 24 * 30


def subscribe(call: Call) -> Answer:
    body = call.body
    subscription = call.platform.webhooks.subscribe(
        call.user,
        fields.text(body, "callback_url"),
        fields.texts(body, "event_types"),
        description=fields.optional_text(body, "description"),
    )
    return Answer(subscription_view(subscription, with_secret=True), 201)


def subscriptions(call: Call) -> Answer:
    return Answer([subscription_view(subscription) for subscription in call.platform.webhooks.of(call.user)])


def rotate_secret(call: Call) -> Answer:
    """Both secrets sign for `overlap_hours`, a day unless it says otherwise."""
    webhooks = call.platform.webhooks
    hours = fields.optional_amount(call.body, "overlap_hours") or 24
    if hours > LONGEST_OVERLAP_HOURS:
        raise invalid(f"overlap_hours must be from 1 to {LONGEST_OVERLAP_HOURS}")
    owned = webhooks.owned(call.path["subscription_id"], call.user)
    return Answer(subscription_view(webhooks.rotate(owned, overlap=timedelta(hours=hours)), with_secret=True))


def test_delivery(call: Call) -> Answer:
    """To the named subscriptions, or to all of the caller; never retried."""
    platform = call.platform
    ids = fields.texts(call.body, "subscription_ids")
    chosen = (
        platform.webhooks.of(call.user) if ids is None else [platform.webhooks.owned(each, call.user) for each in ids]
    )
    if not chosen:
        raise Refused(409, "NO_SUBSCRIPTION", "there is no webhook subscription to test: create one")
    data = fields.table(call.body, "data") or {"mode": READINESS_PROBE, READINESS_PROBE: True}
    event = platform.event(fields.text(call.body, "event_type"), "", data)
    for subscription in chosen:
        platform.webhooks.deliver(event, subscription, is_retried=False)
    return Answer({"queued": True, "event": {"id": event.id, "type": event.type}}, 201)


def deliveries(call: Call) -> Answer:
    query, mine = call.query, {subscription.id for subscription in call.platform.webhooks.of(call.user)}
    limit = query.get("limit", str(USUAL_LIMIT))
    if not limit.isascii() or not limit.isdigit() or int(limit[:9]) < 1:
        raise invalid("limit must be a positive whole number")
    at_most = min(int(limit[:9]), LOG_AT_MOST)  # no largest limit is documented for this list, so none is refused
    found = (
        delivery
        for delivery in call.platform.webhooks.log()
        if delivery.subscription_id in mine
        and query.get("subscription_id") in (None, delivery.subscription_id)
        and query.get("event_type") in (None, delivery.event.type)
        and query.get("status") in (None, delivery.status)
    )
    return Answer([delivery_view(delivery) for delivery in islice(found, at_most)])


def redeliver(call: Call) -> Answer:
    webhooks = call.platform.webhooks
    webhooks.owned(webhooks.find(call.path["delivery_id"]).subscription_id, call.user)
    return Answer(delivery_view(webhooks.redeliver(call.path["delivery_id"])), 201)


_SUBSCRIPTIONS = "/v1/market/webhooks/subscriptions"
_DELIVERIES = "/v1/market/webhooks/deliveries"

ROUTES = (
    Route("POST", _SUBSCRIPTIONS, subscribe),
    Route("GET", _SUBSCRIPTIONS, subscriptions),
    Route("POST", f"{_SUBSCRIPTIONS}/{{subscription_id}}/rotate-secret", rotate_secret),
    Route("POST", "/v1/market/webhooks/test-deliveries", test_delivery),
    Route("GET", _DELIVERIES, deliveries),
    Route("POST", f"{_DELIVERIES}/{{delivery_id}}/redeliver", redeliver),
)
