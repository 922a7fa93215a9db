"""Which checks are made, in which order? As in the official tool, a failed step leaves out those that depend on it.

Kessai's own checks come last and depend on no other.
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
"""Short, because a person waits."""

ReportStep = Callable[[str], None]
"""Called with a description of each step as it begins."""


@dataclass(frozen=True, slots=True)
class Depth:
    asks_platform: bool = True
    probes: bool = True
    """Whether probes are made; they need the platform."""


async def examine(
    question: Question, depth: Depth, *, report_step: ReportStep, patience: Patience = PATIENCE
) -> AsyncIterator[Check]:
    """Each check as soon as it is made."""
    local = local_checks(question)
    for check in local:
        yield check
    if depth.asks_platform and not any_failed(local):
        async with Transport(question.registration.access(), patience=patience) as transport:
            async for check in _at_siglume(MerchantClient(transport), question, depth, report_step=report_step):
                yield check
    report_step("checking Kessai")
    async for check in own.own_checks():
        yield check


async def _at_siglume(
    client: MerchantClient, question: Question, depth: Depth, *, report_step: ReportStep
) -> AsyncIterator[Check]:
    report_step("asking Siglume for the merchant")
    account = await platform.account_checks(client, question.registration.merchant or "")
    for check in account:
        yield check
    if any_failed(account):
        return
    report_step("asking Siglume for the webhook subscriptions")
    subscriptions, here = await platform.subscription_checks(client, question)
    for check in subscriptions:
        yield check
    if any_failed(subscriptions) or here is None:
        return
    if not depth.probes:
        yield probes.skipped()
        return
    async for check in _probes(client, question, here, report_step=report_step):
        yield check


async def _probes(
    client: MerchantClient, question: Question, here: WebhookSubscription, *, report_step: ReportStep
) -> AsyncIterator[Check]:
    report_step("opening a checkout session that nobody pays")
    checkout = await probes.checkout_probe(client, question)
    yield checkout
    if any_failed([checkout]):
        return
    report_step("having Siglume send a test event")
    delivery, event_id = await probes.delivery_probe(client, question, here)
    yield delivery
    if event_id is None:
        return
    report_step("waiting for the test event in the books")
    for check in await own.probe_checks(question.registration.endpoint, event_id):
        yield check
