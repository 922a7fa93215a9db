"""Do checkout and webhook work? One unpaid checkout session that expires, and one signed test delivery."""

import asyncio
import secrets
from typing import Final

from deploy.readiness.check import Check, failed, judged, passed
from deploy.readiness.local import Question
from shared.errors import KessaiError
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.errors import HostedCheckoutNotAvailableError
from shared.sdrp.api.webhooks import WebhookDelivery, WebhookSubscription
from shared.sdrp.events import CONFIRMED, READINESS_PROBE

CHECKOUT: Final = "hosted_checkout_probe"
DELIVERY: Final = "webhook_delivery_probe_passed"
SECONDS: Final = 10.0
"""Time to wait for the test delivery."""
POLL_SECONDS: Final = 0.5


def skipped() -> Check:
    return failed(CHECKOUT, "--no-probe leaves out what only a probe can find: run it without that option.")


async def checkout_probe(client: MerchantClient, question: Question) -> Check:
    known = question.registration
    origin = (known.origin or "").strip().rstrip("/")
    try:
        await client.create_checkout_session(
            merchant=known.merchant or "",
            amount_minor=question.amount_minor,
            currency=question.currency,
            nonce=f"kessai-readiness-{secrets.token_hex(8)}",
            success_url=f"{origin}/siglume-readiness/success",
            cancel_url=f"{origin}/siglume-readiness/cancel",
            metadata={"source": "kessai-readiness"},
        )
    except HostedCheckoutNotAvailableError as error:
        return failed(CHECKOUT, f"{error}.")
    except KessaiError as error:
        return failed(CHECKOUT, f"{error}. Compare the account's allowed origins, its currencies and its mandate.")
    return passed(CHECKOUT)


async def delivery_probe(
    client: MerchantClient, question: Question, subscription: WebhookSubscription, *, within: float = SECONDS
) -> tuple[Check, str | None]:
    """The check, and the id of the event that was delivered."""
    try:
        queued = await client.queue_webhook_test_delivery(
            event_type=CONFIRMED,
            subscription_ids=[subscription.subscription_id],
            data=_probe(question.registration.merchant or ""),
        )
        if queued.event_id is None:
            return failed(DELIVERY, "Siglume did not name the test event: see its delivery log."), None
        delivery = await _ended(client, subscription.subscription_id, queued.event_id, within=within)
    except KessaiError as error:
        return failed(DELIVERY, f"{error}."), None
    fault = _fault(delivery, within=within)
    return judged(DELIVERY, fault), None if fault else queued.event_id


def _probe(merchant: str) -> dict[str, object]:
    """Names itself a probe in two fields, so that no system takes it for a payment."""
    requirement = f"dpr_readiness_{secrets.token_hex(8)}"
    return {
        "mode": READINESS_PROBE,
        READINESS_PROBE: True,
        "merchant": merchant,
        "direct_payment_requirement_id": requirement,
        "requirement_id": requirement,
        "challenge_hash": "sha256:readiness_probe",
        "pricing_band": "standard",
        "settlement_status": READINESS_PROBE,
    }


async def _ended(
    client: MerchantClient, subscription_id: str, event_id: str, *, within: float
) -> WebhookDelivery | None:
    """The delivery once it was delivered or has failed; None when neither happened in time."""
    deadline = asyncio.get_running_loop().time() + within
    while asyncio.get_running_loop().time() < deadline:
        log = await client.list_webhook_deliveries(subscription_id=subscription_id, event_type=CONFIRMED, limit=10)
        for delivery in log:
            if delivery.event_id == event_id and delivery.delivery_status in {"delivered", "failed"}:
                return delivery
        await asyncio.sleep(POLL_SECONDS)
    return None


def _fault(delivery: WebhookDelivery | None, *, within: float) -> str | None:
    if delivery is None:
        return f"The test delivery was queued and not delivered within {within:g} s: is the webhook URL reachable?"
    if delivery.delivery_status == "delivered":
        return None
    answered = "nothing" if delivery.response_status is None else str(delivery.response_status)
    meaning = _MEANINGS.get(delivery.response_status, "see the log of `kessai ingress` and of the proxy in front of it")
    return f"The test delivery was answered with {answered}: {meaning}."


_MEANINGS: Final = {
    None: "is the webhook URL reachable from Siglume",
    401: "no live secret verifies it, or a clock is wrong",
    404: "the webhook URL leads to no endpoint of Kessai",
    503: "RabbitMQ did not confirm",
}
