"""Which subscriptions lead to an endpoint, and which secrets may sign them?"""

import pytest

from shared.endpoints import EndpointKey
from shared.sdrp.api.webhooks import WebhookSubscription
from shared.sdrp.signature import SigningSecret
from shared.subscriptions import leading_to, signing_keys

URL = "https://shop.example/webhooks/siglume"


def subscription(
    callback: str | None = URL, *, status: str | None = "active", hint: str | None = "abcd"
) -> WebhookSubscription:
    return WebhookSubscription(
        subscription_id="whsub_1",
        callback_url=callback,
        status=status,
        event_types=(),
        signing_secret=None,
        signing_secret_hint=hint,
    )


@pytest.mark.parametrize(
    ("webhook_url", "callback", "leads"),
    [
        (URL, URL, True),
        (f" {URL} ", URL, True),
        (URL, "HTTPS://shop.example/webhooks/siglume", True),
        (URL, f"{URL}/", False),
        (URL, "https://other.example/webhooks/siglume", False),
        (None, URL, True),
        (None, "https://other.example/any/webhooks/siglume?x=1", True),
        (None, "https://other.example/webhooks/tea", False),
        (None, "https://[broken/webhooks/siglume", False),
        (URL, "https://[broken/webhooks/siglume", False),
        (URL, None, False),
    ],
)
def test_by_the_url_where_it_is_known_and_else_by_the_end_of_the_path(
    webhook_url: str | None, callback: str | None, leads: bool
) -> None:
    assert bool(leading_to(webhook_url, "siglume", [subscription(callback)])) is leads


@pytest.mark.parametrize(("status", "leads"), [("Active", True), ("enabled", True), ("disabled", False), (None, False)])
def test_only_active_ones(status: str | None, leads: bool) -> None:
    assert bool(leading_to(URL, "siglume", [subscription(status=status)])) is leads


def test_a_hint_names_every_secret_that_ends_so_and_none_when_there_is_no_hint() -> None:
    keys = [EndpointKey(SigningSecret.from_text(f"whsec_{end}"), "") for end in ("1abcd", "2abcd", "3")]
    assert signing_keys(subscription(), keys) == keys[:2]
    assert signing_keys(subscription(hint=None), keys) == []
    assert signing_keys(subscription(hint=""), keys) == []
