"""Which of a merchant's webhook subscriptions lead to an endpoint, and which secret does Siglume sign them with?

Pure. As the official SDK 0.5.7 compares: URLs as they are written, and a secret by how it ends.
"""

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from shared.endpoints import EndpointKey
from shared.sdrp.api.webhooks import WebhookSubscription

ACTIVE: Final = frozenset({"active", "ready", "current", "ok", "enabled", "paid", "complete", "completed"})
"""The statuses that mean that something is in force."""


def is_active(status: str | None) -> bool:
    return (status or "").lower() in ACTIVE


def leading_to(
    webhook_url: str | None, endpoint: str, subscriptions: Iterable[WebhookSubscription]
) -> list[WebhookSubscription]:
    """Active ones whose callback is the URL; where that is not known, those whose path ends as the endpoint's does."""
    active = (each for each in subscriptions if is_active(each.status) and each.callback_url)
    if webhook_url:
        return [each for each in active if _same(each.callback_url or "", webhook_url)]
    return [each for each in active if _path(each.callback_url or "").endswith(f"/webhooks/{endpoint}")]


def signing_keys(subscription: WebhookSubscription, keys: Sequence[EndpointKey]) -> list[EndpointKey]:
    """Those that end as the subscription's hint says: one, or several by chance; none without a hint."""
    hint = (subscription.signing_secret_hint or "").encode()
    return [key for key in keys if hint and key.secret.key.endswith(hint)]


def _path(url: str) -> str:
    """Empty, when it is no URL."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _same(left: str, right: str) -> bool:
    try:
        return urlsplit(left).geturl() == urlsplit(right.strip()).geturl()
    except ValueError:
        return False
