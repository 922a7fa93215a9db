"""What is asked, in which order? As the official tool does it: where a step fails, those that stand on it are left out.

Kessai's own checks come last and stand on nothing but themselves.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from deploy.readiness import own, platform, probes
from deploy.readiness.check import Check, any_failed
from deploy.readiness.local import Question, local_checks
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.retries import Patience
from shared.sdrp.api.transport import Transport
from shared.sdrp.api.webhooks import WebhookSubscription

PATIENCE: Final = Patience(attempts=3, connect=5.0, attempt=10.0, deadline=20.0)
"""A person waits."""

Doing = Callable[[str], None]
"""Hears what is being done, in a few words."""


@dataclass(frozen=True, slots=True)
class Depth:
    asks_platform: bool = True
    probes: bool = True
    """Needs the platform."""


async def examine(
    question: Question, depth: Depth, *, doing: Doing, patience: Patience = PATIENCE
) -> AsyncIterator[Check]:
    """Each check as soon as it is made."""
    local = local_checks(question)
    for check in local:
        yield check
    if depth.asks_platform and not any_failed(local):
        async with Transport(question.registration.access(), patience=patience) as transport:
            async for check in _at_siglume(MerchantClient(transport), question, depth, doing=doing):
                yield check
    doing("looking Kessai over")
    async for check in own.own_checks():
        yield check


async def _at_siglume(
    client: MerchantClient, question: Question, depth: Depth, *, doing: Doing
) -> AsyncIterator[Check]:
    doing("asking Siglume for the merchant")
    account = await platform.account_checks(client, question.registration.merchant or "")
    for check in account:
        yield check
    if any_failed(account):
        return
    doing("asking Siglume for the webhook subscriptions")
    subscriptions, here = await platform.subscription_checks(client, question)
    for check in subscriptions:
        yield check
    if any_failed(subscriptions) or here is None:
        return
    if not depth.probes:
        yield probes.skipped()
        return
    async for check in _probes(client, question, here, doing=doing):
        yield check


async def _probes(
    client: MerchantClient, question: Question, here: WebhookSubscription, *, doing: Doing
) -> AsyncIterator[Check]:
    doing("opening a checkout session that nobody pays")
    checkout = await probes.checkout_probe(client, question)
    yield checkout
    if any_failed([checkout]):
        return
    doing("having Siglume send a test event")
    delivery, event_id = await probes.delivery_probe(client, question, here)
    yield delivery
    if event_id is None:
        return
    doing("looking for the test event in the books")
    for check in await own.probe_checks(question.registration.endpoint, event_id):
        yield check
