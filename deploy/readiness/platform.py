"""Does Siglume know the merchant, bill it, and post its webhooks to this endpoint under a secret that is live here?

Stricter than the official tool 0.5.7: the account must be the requested one, and every active subscription
that leads to the endpoint must sign with a live secret, because webhooks signed with another are refused.
"""

from collections.abc import Sequence
from typing import Final

from deploy.readiness.check import Check, failed, judged
from deploy.readiness.local import Question
from shared.errors import KessaiError
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.merchants import MerchantAccount
from shared.sdrp.api.webhooks import WebhookSubscription
from shared.sdrp.challenge import normalize_merchant
from shared.sdrp.events import CONFIRMED
from shared.subscriptions import is_active, leading_to, signing_keys

SELLING: Final = frozenset({"active", "ready"})


async def account_checks(client: MerchantClient, merchant: str) -> list[Check]:
    try:
        account = (await client.get_merchant(merchant)).account
    except KessaiError as error:
        return [failed("merchant_api", f"Could not read the merchant account: {error}.")]
    return judge_account(account, merchant)


def judge_account(account: MerchantAccount, merchant: str) -> list[Check]:
    is_requested = normalize_merchant(account.merchant) == normalize_merchant(merchant)
    billing, status = account.billing_status, account.status
    return [
        judged("merchant_exists", None if is_requested else "Siglume answered with another merchant: set this one up."),
        judged(
            "billing_mandate",
            None if account.billing_mandate_id else "Approve the merchant's billing mandate in its wallet.",
        ),
        judged(
            "billing_status_active",
            None if is_active(billing) else f"The billing status is {billing or 'unknown'}: it must be active first.",
        ),
        judged(
            "merchant_status_active",
            None
            if (status or "").lower() in SELLING
            else f"The merchant's status is {status or 'unknown'}: it must be active or ready first.",
        ),
    ]


async def subscription_checks(
    client: MerchantClient, question: Question
) -> tuple[list[Check], WebhookSubscription | None]:
    """The checks, and the subscription that leads here."""
    try:
        subscriptions = await client.list_webhook_subscriptions()
    except KessaiError as error:
        return [failed("webhook_subscription_api", f"Could not read the webhook subscriptions: {error}.")], None
    return judge_subscriptions(subscriptions, question)


def judge_subscriptions(
    subscriptions: Sequence[WebhookSubscription], question: Question
) -> tuple[list[Check], WebhookSubscription | None]:
    known = question.registration
    here = leading_to(known.webhook_url, known.endpoint, subscriptions)
    first = here[0] if here else None
    is_subscribed = first is not None and (not first.event_types or CONFIRMED in first.event_types)
    exists = any(is_active(each.status) for each in subscriptions)
    checks = [
        judged("webhook_subscription_exists", None if exists else "Create an active webhook subscription first."),
        judged("webhook_callback_matches", None if here else f"No active subscription leads to {known.webhook_url}."),
        judged(
            "direct_payment_confirmed_subscribed",
            None if is_subscribed else f"The subscription that leads here must include {CONFIRMED}.",
        ),
        judged("webhook_secret_matches_subscription_hint", _hint_fault(here, question)),
    ]
    return checks, first


def _hint_fault(here: Sequence[WebhookSubscription], question: Question) -> str | None:
    if not here:
        return "There is no subscription whose hint could be compared."
    unmatched = [each.subscription_id for each in here if not signing_keys(each, question.keys)]
    if not unmatched:
        return None
    live = ", ".join(key.fingerprint for key in question.keys)
    return (
        f"Siglume signs {', '.join(unmatched)} with a secret that is not live here (live: {live}): add it, then run "
        "`kessai keys check`."
    )
