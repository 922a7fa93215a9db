"""`kessai readiness` beside the official tool over one simulated platform: the same checks, in order, and verdicts."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from deploy.sandbox.core.faults import Fault
from deploy.sandbox.sandbox import Sandbox
from deploy.sandbox.serve import environment
from shared.sdrp.events import SPENT
from tests.integration.readiness.asking import kessai, official
from tests.integration.sandbox.shop import WEBHOOK_SECRET, Receiver

OWNER = "sandbox_merchant_token"
REMOVED: Any = None
ALL = (
    *("target_environment", "merchant_key", "merchant_token", "shop_origin", "webhook_url", "webhook_secret_present"),
    *("standard_probe_amount", "merchant_exists", "billing_mandate", "billing_status_active"),
    *("merchant_status_active", "webhook_subscription_exists", "webhook_callback_matches"),
    *("direct_payment_confirmed_subscribed", "webhook_secret_matches_subscription_hint", "hosted_checkout_probe"),
    "webhook_delivery_probe_passed",
)
LOCAL = ALL[:7]


def nothing(sandbox: Sandbox, shop: Receiver) -> None:
    """The platform as it comes."""


def off(fault: Fault, **setting: Any) -> Callable[[Sandbox, Receiver], None]:  # noqa: ANN401 - as the sandbox takes it
    return lambda sandbox, shop: sandbox.switch(fault, **setting)


def subscribed(**changed: Any) -> Callable[[Sandbox, Receiver], None]:  # noqa: ANN401 - fields of a subscription
    """The shop's subscription is another one."""

    def change(sandbox: Sandbox, shop: Receiver) -> None:
        webhooks = sandbox.platform.webhooks
        one = webhooks.every()[0]
        webhooks._keep(replace(one, **changed))

    return change


def another(**changed: Any) -> Callable[[Sandbox, Receiver], None]:  # noqa: ANN401 - as the platform takes it
    """A second subscription."""

    def add(sandbox: Sandbox, shop: Receiver) -> None:
        asked = {"callback_url": shop.url, "secret": "whsec_of_another_shop"} | changed
        sandbox.platform.webhooks.subscribe(sandbox.platform.webhooks.every()[0].owner, **asked)

    return add


def answers(*statuses: int) -> Callable[[Sandbox, Receiver], None]:
    return lambda sandbox, shop: shop.answers.extend(statuses)


@dataclass(frozen=True, slots=True)
class Case:
    fails: str | None = None
    """The checks that both find failed, with blanks between."""
    set: Mapping[str, str | None] = field(default_factory=dict)
    say: tuple[str, ...] = ()
    given: Callable[[Sandbox, Receiver], None] = nothing

    def settings(self, sandbox: Sandbox) -> dict[str, str]:
        whole = dict(environment(sandbox)) | dict(self.set)
        return {name: value for name, value in whole.items() if value is not None}


CASES = {
    "all is well": Case(),
    "all is well, late": Case(given=off(Fault.SLOW, seconds=0.3)),
    "dollars": Case(set={"SIGLUME_DIRECT_PAYMENT_TEST_CURRENCY": "usd"}),
    "the other token": Case(set={"SIGLUME_MERCHANT_AUTH_TOKEN": REMOVED, "SIGLUME_AUTH_TOKEN": OWNER}),
    "no merchant": Case("merchant_key", set={"SIGLUME_DIRECT_PAYMENT_MERCHANT": REMOVED}),
    "no merchant, but an option": Case(
        set={"SIGLUME_DIRECT_PAYMENT_MERCHANT": REMOVED}, say=("--merchant", "sandbox_merchant")
    ),
    "no token": Case("merchant_token", set={"SIGLUME_MERCHANT_AUTH_TOKEN": REMOVED}),
    "a developer's key, live": Case(
        "merchant_token shop_origin webhook_url",
        set={"SIGLUME_MERCHANT_AUTH_TOKEN": "cli_0123456789", "SIGLUME_ENV": REMOVED},
    ),
    "no origin": Case("shop_origin", set={"SHOP_PUBLIC_ORIGIN": REMOVED}),
    "an origin by an option": Case(set={"SHOP_PUBLIC_ORIGIN": REMOVED}, say=("--origin", "http://localhost:3000/")),
    "an origin without TLS": Case("shop_origin", say=("--origin", "http://shop.example")),
    "an origin with a path": Case("shop_origin", say=("--origin", "https://shop.example/tea")),
    "an origin of another kind": Case("shop_origin", say=("--origin", "ftp://shop.example")),
    "no webhook URL": Case("webhook_url", set={"SHOP_WEBHOOK_URL": REMOVED}),
    "a webhook URL without TLS": Case("webhook_url", say=("--webhook-url", "http://shop.example/webhooks/siglume")),
    "a webhook URL by an option": Case(
        "webhook_callback_matches direct_payment_confirmed_subscribed webhook_secret_matches_subscription_hint",
        say=("--webhook-url", "https://shop.example/webhooks/siglume"),
    ),
    "no secret": Case("webhook_secret_present", set={"SIGLUME_WEBHOOK_SECRET": REMOVED}),
    "a secret of another kind": Case("webhook_secret_present", set={"SIGLUME_WEBHOOK_SECRET": "secret_of_mine"}),
    "another secret": Case(
        "webhook_secret_matches_subscription_hint", set={"SIGLUME_WEBHOOK_SECRET": "whsec_of_last_year"}
    ),
    "a micro amount": Case("standard_probe_amount", say=("--amount-minor", "500")),
    "a micro amount of dollars": Case("standard_probe_amount", say=("--amount-minor", "300", "--currency", "USD")),
    "a standard amount of dollars": Case(say=("--amount-minor", "301", "--currency", "USD")),
    "an amount of the environment": Case(
        "standard_probe_amount", set={"SIGLUME_DIRECT_PAYMENT_TEST_AMOUNT_MINOR": "49"}
    ),
    "an unknown currency": Case("standard_probe_amount", say=("--currency", "EUR")),
    "several things at once": Case(
        "merchant_key merchant_token webhook_secret_present",
        set={
            "SIGLUME_DIRECT_PAYMENT_MERCHANT": REMOVED,
            "SIGLUME_MERCHANT_AUTH_TOKEN": REMOVED,
            "SIGLUME_WEBHOOK_SECRET": REMOVED,
        },
    ),
    "no such merchant": Case("merchant_api", say=("--merchant", "nobody")),
    "another's merchant": Case("merchant_api", set={"SIGLUME_MERCHANT_AUTH_TOKEN": "token_of_another"}),
    "a bill unpaid": Case("billing_status_active", given=off(Fault.BILLING_INACTIVE)),
    "no subscription": Case(
        "webhook_subscription_exists webhook_callback_matches direct_payment_confirmed_subscribed "
        "webhook_secret_matches_subscription_hint",
        given=subscribed(is_active=False),
    ),
    "another callback": Case(
        "webhook_callback_matches direct_payment_confirmed_subscribed webhook_secret_matches_subscription_hint",
        given=subscribed(callback_url="https://elsewhere.example/hook"),
    ),
    "another callback beside ours": Case(given=another(callback_url="https://elsewhere.example/hook")),
    "other events": Case("direct_payment_confirmed_subscribed", given=subscribed(event_types=frozenset({SPENT}))),
    "no checkout": Case("hosted_checkout_probe", given=off(Fault.CHECKOUT_DISABLED)),
    "an origin that is not the account's": Case("hosted_checkout_probe", say=("--origin", "https://other.example")),
    "a shop that fails": Case("webhook_delivery_probe_passed", given=answers(500, 500)),
    "a webhook that is lost": Case("webhook_delivery_probe_passed", given=off(Fault.DROP)),
    "a stale webhook": Case("webhook_delivery_probe_passed", given=off(Fault.STALE)),
    "without the platform": Case(say=("--no-api",)),
    "without the platform, and no token": Case(
        "merchant_token", set={"SIGLUME_MERCHANT_AUTH_TOKEN": REMOVED}, say=("--no-api",)
    ),
    "without a try": Case("hosted_checkout_probe", say=("--no-probe",)),
    "by options alone": Case(set={"SIGLUME_ENV": REMOVED}, say=("--sandbox",)),
}


@pytest.mark.parametrize("name", CASES)
async def test_both_find_the_same(sandbox: Sandbox, shop: Receiver, name: str) -> None:
    case = CASES[name]
    settings = case.settings(sandbox)
    case.given(sandbox, shop)
    theirs, ours = await asyncio.gather(official(settings, *case.say), kessai(settings, *case.say))

    assert list(ours.statuses.items()) == list(theirs.statuses.items())
    assert set(ours.failed) == set((case.fails or "").split())
    assert theirs.ok is (case.fails is None)
    assert ours.code == 1  # without Postgres and RabbitMQ Kessai is never ready
    for secret in (WEBHOOK_SECRET, OWNER, *settings.values()):
        assert not (secret.startswith(("whsec_", "sandbox_merchant_token", "cli_")) and secret in ours.text)


async def test_every_check_of_the_official_tool_is_asked(sandbox: Sandbox) -> None:
    ours = await kessai(dict(environment(sandbox)))
    assert tuple(ours.statuses) == ALL
    local = await kessai(dict(environment(sandbox)), "--no-api")
    assert tuple(local.statuses) == LOCAL


STRICTER = {
    "a developer's key in the sandbox": (
        "merchant_token",
        Case(set={"SIGLUME_MERCHANT_AUTH_TOKEN": "cli_0123456789"}, say=("--no-api",)),
    ),
    "a key that nobody can set up": ("merchant_key", Case(say=("--merchant", "a.b", "--no-api"))),
    "a webhook URL without a host": ("webhook_url", Case(say=("--webhook-url", "https:///hook", "--no-api"))),
    "a webhook URL with a password": (
        "webhook_url",
        Case(say=("--webhook-url", "https://shop:sesame@shop.example/hook", "--no-api")),
    ),
    "a platform without TLS": (
        "target_environment",
        Case(say=("--base-url", "http://siglume.example/v1", "--no-api")),
    ),
    "a second subscription under another secret": ("webhook_secret_matches_subscription_hint", Case(given=another())),
}


@pytest.mark.parametrize("name", STRICTER)
async def test_kessai_is_stricter_on_purpose(sandbox: Sandbox, shop: Receiver, name: str) -> None:
    check, case = STRICTER[name]
    settings = case.settings(sandbox)
    case.given(sandbox, shop)
    theirs, ours = await asyncio.gather(official(settings, *case.say), kessai(settings, *case.say))
    assert theirs.statuses[check] == "pass"
    assert set(ours.failed) == {check}
    assert "sesame" not in ours.text


async def test_a_platform_that_stumbles_is_asked_again(sandbox: Sandbox) -> None:
    """Where the official tool gives up."""
    sandbox.switch(Fault.RATE_LIMIT, times=2, seconds=0)
    assert (await kessai(dict(environment(sandbox)))).failed == {}
