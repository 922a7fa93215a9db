"""The official SDK as the client: every call that it makes is answered in a shape that it and its types accept."""

import inspect
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from siglume_direct_request_payment import (
    DirectRequestPaymentBuyerMeteredSummary,
    DirectRequestPaymentClient,
    DirectRequestPaymentMerchantClient,
    DirectRequestPaymentMeteredOpenPeriod,
    DirectRequestPaymentPastDueBlock,
    DirectRequestPaymentProviderMeteredSummary,
    DirectRequestPaymentProviderMeteredTotals,
    DirectRequestPaymentSettlementBatch,
    DirectRequestPaymentWebhookDelivery,
    HostedCheckoutNotAvailableError,
    HostedCheckoutSession,
    SiglumeApiError,
    create_direct_request_payment_challenge,
    create_direct_request_payment_recurring_challenge,
    direct_request_payment_challenge_hash,
    direct_request_payment_request_hash,
    direct_request_payment_request_hash_v2,
)

from deploy.sandbox.core.faults import Fault
from deploy.sandbox.sandbox import Sandbox
from shared.sdrp.api.requirements import PaymentRequirement
from tests.integration.sandbox.shop import MERCHANT_TOKEN, Receiver, buyer, call, merchant, open_session, sell

MERCHANT = "sandbox_merchant"
SECRET = "edrp_sandbox_local"
TESTED = {
    DirectRequestPaymentMerchantClient: {
        *("setup_checkout", "setup_merchant", "get_merchant", "get_merchant_readiness", "rotate_challenge_secret"),
        *("prepare_billing_mandate", "create_checkout_session", "get_checkout_session"),
        *("create_webhook_subscription", "list_webhook_subscriptions"),
        *("queue_webhook_test_delivery", "list_webhook_deliveries"),
    },
    DirectRequestPaymentClient: {
        *("create_payment_requirement", "get_payment_requirement", "verify_payment_requirement"),
        *("execute_prepared_transaction", "execute_payment_transaction", "execute_allowance_transaction"),
        *("create_subscription", "create_scheduled_auto_pay_authorization"),
        *("revoke_scheduled_auto_pay_authorization", "execute_scheduled_auto_pay"),
        *("get_buyer_metered_summary", "list_buyer_usage_events", "list_buyer_settlement_batches"),
        *("get_provider_metered_summary", "list_provider_usage_events"),
        *("list_provider_settlement_batches", "get_provider_settlement_batch"),
    },
}


def assert_shape(answer: Mapping[str, Any], shape: type) -> None:
    """Every field that the SDK's type names is there."""
    assert shape.__annotations__.keys() <= answer.keys()


@pytest.mark.parametrize("client", TESTED, ids=lambda client: client.__name__)
def test_no_call_of_the_sdk_is_left_out_below(client: type[object]) -> None:
    calls = {name for name, _ in inspect.getmembers(client, inspect.isfunction) if not name.startswith("_")}
    assert calls == TESTED[client]


async def test_a_new_merchant_sets_up_checkout(sandbox: Sandbox) -> None:
    client = merchant(sandbox, "another_merchant_token")
    result: Any = await call(
        client.setup_checkout,
        merchant="Tea_House",
        display_name="Tea House",
        billing_currency="usd",
        allowed_currencies=["JPY", "USD"],
        webhook_callback_url="https://tea.example/webhooks/siglume",
        checkout_allowed_origins=["https://tea.example"],
        max_amount_minor=100_000,
        standard_terms_accepted=True,
        merchant_responsibility_attested=True,
        responsibility_attestation_version="sdrp_standard_hosted_checkout_responsibility_v1",
    )
    assert result["env"].keys() == {
        "SIGLUME_DIRECT_PAYMENT_MERCHANT",
        "SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET",
        "SIGLUME_WEBHOOK_SECRET",
    }
    assert result["billing_mandate"]["mandate"]["status"] == "active"
    account = (await call(client.get_merchant, "tea_house"))["merchant_account"]
    assert (account["billing_status"], account["billing_currency"], account["token_symbol"]) == (
        "active",
        "USD",
        "USDC",
    )
    assert (await call(client.get_merchant_readiness, "tea_house"))["ready"] is True
    again: Any = await call(client.setup_merchant, merchant="tea_house")
    assert (again["created"], again["challenge_secret"]) == (False, None)
    secret = result["env"]["SIGLUME_WEBHOOK_SECRET"]
    (subscription,) = await call(client.list_webhook_subscriptions)
    assert secret.endswith(subscription["signing_secret_hint"])
    assert "signing_secret" not in subscription
    with pytest.raises(SiglumeApiError) as refused:
        await call(merchant(sandbox).get_merchant, "tea_house")
    assert (refused.value.status, refused.value.code) == (403, "MERCHANT_FORBIDDEN")


async def test_a_merchant_that_is_not_ready_is_told_what_is_missing(sandbox: Sandbox) -> None:
    client = merchant(sandbox, "another_merchant_token")
    await call(client.setup_merchant, merchant="tea_house")
    readiness = await call(client.get_merchant_readiness, "tea_house")
    assert readiness["missing_requirements"] == [
        "active_billing_mandate",
        "standard_terms_accepted",
        "merchant_responsibility_attested",
    ]
    await call(client.prepare_billing_mandate, "tea_house", max_amount_minor=5000)
    assert (
        "active_billing_mandate" not in (await call(client.get_merchant_readiness, "tea_house"))["missing_requirements"]
    )


async def test_a_checkout_session_from_open_to_paid(sandbox: Sandbox) -> None:
    opened = await open_session(sandbox)
    assert_shape(opened, HostedCheckoutSession)
    assert (opened["status"], opened["pricing_band"]) == ("open", None)
    await sandbox.pay(opened["session_id"])
    paid: Any = await call(merchant(sandbox).get_checkout_session, opened["session_id"])
    assert_shape(paid, HostedCheckoutSession)
    assert (paid["status"], paid["settlement_status"], paid["challenge_hash"]) == (
        "paid",
        "settled",
        opened["challenge_hash"],
    )


async def test_checkout_that_is_not_enabled_is_what_the_sdk_calls_it(sandbox: Sandbox) -> None:
    sandbox.switch(Fault.CHECKOUT_DISABLED)
    with pytest.raises(HostedCheckoutNotAvailableError):
        await open_session(sandbox)


async def test_a_session_that_is_not_there_is_not_taken_for_checkout_that_is_off(sandbox: Sandbox) -> None:
    with pytest.raises(SiglumeApiError) as refused:
        await call(merchant(sandbox).get_checkout_session, "chk_nowhere")
    assert not isinstance(refused.value, HostedCheckoutNotAvailableError)
    assert (refused.value.status, refused.value.code) == (404, "CHECKOUT_SESSION_NOT_FOUND")


@pytest.mark.parametrize("amount", [1200, 200, 20])
async def test_a_buyer_pays_a_requirement_as_the_readme_shows(sandbox: Sandbox, shop: Receiver, amount: int) -> None:
    terms: Any = {"merchant": MERCHANT, "amount_minor": amount, "currency": "JPY"}
    challenge = str(create_direct_request_payment_challenge(**terms, secret=SECRET, nonce="order-1")["challenge"])  # type: ignore[typeddict-item]
    client = buyer(sandbox)
    requirement = await call(client.create_payment_requirement, **terms, challenge=challenge)
    assert {field.name for field in fields(PaymentRequirement)} <= requirement.keys()
    assert not requirement.keys() & {"paid_at", "receipt_id"}  # what no document has, no program should come to need
    assert requirement["request_hash"] == direct_request_payment_request_hash(**terms, challenge=challenge)
    assert requirement["request_hash_v2"] == direct_request_payment_request_hash_v2(**terms, challenge=challenge)
    assert await call(client.create_payment_requirement, **terms, challenge=challenge) == requirement
    with pytest.raises(SiglumeApiError) as refused:
        await call(client.execute_payment_transaction, requirement, await_finality=True)
    assert refused.value.code == "ALLOWANCE_REQUIRED"
    await call(client.execute_allowance_transaction, requirement, await_finality=True)
    payment = await call(client.execute_payment_transaction, requirement, await_finality=True)
    verified = await call(
        client.verify_payment_requirement, requirement["requirement_id"], receipt_id=payment["receipt"]["receipt_id"]
    )
    assert verified["status"] == "paid"
    found = await call(client.get_payment_requirement, requirement["requirement_id"])
    assert found["approve_transaction_request"] is None
    await sandbox.idle()
    (webhook,) = shop.confirmed()
    assert webhook.kind() == ("standard_settled" if amount == 1200 else "metered_usage_accepted")
    assert webhook.verified()["data"]["challenge_hash"] == direct_request_payment_challenge_hash(challenge)


async def test_a_challenge_that_the_merchant_did_not_sign_is_refused(sandbox: Sandbox) -> None:
    terms: Any = {"merchant": MERCHANT, "amount_minor": 1200, "currency": "JPY"}
    good: Any = create_direct_request_payment_challenge(**terms, secret=SECRET, nonce="n")
    for wrong in ({"amount_minor": 1}, {"currency": "USD"}, {"challenge": "siglume-external-402-v1:n:00"}):
        with pytest.raises(SiglumeApiError) as refused:
            await call(buyer(sandbox).create_payment_requirement, **({**terms, "challenge": good["challenge"]} | wrong))
        assert (refused.value.status, refused.value.code) == (400, "EXTERNAL_402_CHALLENGE_INVALID")
    rotated = await call(merchant(sandbox).rotate_challenge_secret, MERCHANT)
    assert rotated["challenge_secret"] != SECRET
    with pytest.raises(SiglumeApiError, match="did not sign"):
        await call(buyer(sandbox).create_payment_requirement, **terms, challenge=good["challenge"])


async def test_a_transaction_of_another_requirement_is_refused(sandbox: Sandbox) -> None:
    client = buyer(sandbox)
    terms: Any = {"merchant": MERCHANT, "amount_minor": 1200, "currency": "JPY"}
    made = []
    for nonce in ("one", "two"):
        challenge: Any = create_direct_request_payment_challenge(**terms, secret=SECRET, nonce=nonce)
        made.append(await call(client.create_payment_requirement, **terms, challenge=challenge["challenge"]))
    mixed = made[0] | {"transaction_request": made[1]["transaction_request"]}
    with pytest.raises(SiglumeApiError) as refused:
        await call(client.execute_payment_transaction, mixed)
    assert refused.value.code == "TRANSACTION_MISMATCH"
    with pytest.raises(SiglumeApiError) as refused:
        await call(buyer(sandbox, "bob").get_payment_requirement, made[0]["requirement_id"])
    assert refused.value.status == 403


async def test_statements_of_a_buyer_and_a_provider(sandbox: Sandbox) -> None:
    await sell(sandbox, "order-1", 200)
    await sell(sandbox, "order-2", 20, "USD")
    provider, ann = buyer(sandbox, "sandbox_merchant_token"), buyer(sandbox)
    summary: Any = await call(provider.get_provider_metered_summary, plan_type="micro", token_symbol="JPYC")
    assert_shape(summary, DirectRequestPaymentProviderMeteredSummary)
    assert_shape(summary["totals"], DirectRequestPaymentProviderMeteredTotals)
    (period,) = summary["open_periods"]
    assert_shape(period, DirectRequestPaymentMeteredOpenPeriod)
    assert (period["total_unsettled_exposure_minor"], period["protocol_fee_minor"]) == ("200", "2")
    sandbox.switch(Fault.SETTLEMENT_FAILS)
    await sandbox.advance(timedelta(days=60))
    theirs: Any = await call(ann.get_buyer_metered_summary)
    assert_shape(theirs, DirectRequestPaymentBuyerMeteredSummary)
    for block in theirs["past_due_blocks"]:
        assert_shape(block, DirectRequestPaymentPastDueBlock)
    assert len(theirs["past_due_blocks"]) == 2
    usage = await call(ann.list_buyer_usage_events, limit=1)
    more = await call(ann.list_buyer_usage_events, limit=1, cursor=usage["next_cursor"])
    assert [page["items"][0]["plan_type"] for page in (usage, more)] == ["nano", "micro"]
    assert more["next_cursor"] is None
    batches = await call(ann.list_buyer_settlement_batches, status="past_due")
    assert len(batches["items"]) == 2
    events = await call(provider.list_provider_usage_events, plan_type="nano", limit=500)
    assert events["items"][0]["provider_receivable_minor"] == "19.9"
    mine = await call(provider.list_provider_settlement_batches, token_symbol="JPYC", limit=200)
    (batch,) = mine["items"]
    assert_shape(batch, DirectRequestPaymentSettlementBatch)
    of_batch: Any = {"settlement_batch_id": batch["settlement_batch_id"]}
    assert await call(provider.get_provider_settlement_batch, **of_batch) == batch
    assert await call(provider.get_provider_settlement_batch, **of_batch, capability_key="checkout") == batch
    with pytest.raises(SiglumeApiError) as refused:
        await call(provider.get_provider_settlement_batch, **of_batch, capability_key="another")
    assert refused.value.status == 404


async def test_a_batch_is_exported_as_csv(sandbox: Sandbox) -> None:
    await sell(sandbox, "order-1", 200)
    await sandbox.advance(timedelta(days=20))
    (batch,) = sandbox.books().batches
    url = f"{sandbox.base_url}/sdrp/metered/provider/settlement-batches/{batch.batch_id}/usage-events.csv"
    async with aiohttp.ClientSession() as client:
        async with client.get(url, headers={"Authorization": f"Bearer {MERCHANT_TOKEN}"}) as answer:
            heading, row = (await answer.text()).splitlines()
            assert answer.content_type == "text/csv"
        async with client.get(url, headers={"Authorization": "Bearer somebody"}) as answer:
            assert answer.status == 404
    told = dict(zip(heading.split(","), row.split(","), strict=True))
    assert (told["provider_receivable_minor"], told["status"]) == ("198", "settled")


async def test_webhook_subscriptions_deliveries_and_probes(sandbox: Sandbox, shop: Receiver) -> None:
    client = merchant(sandbox)
    created = await call(
        client.create_webhook_subscription, callback_url="https://shop.example/hook", description="another"
    )
    assert created["signing_secret"].endswith(created["signing_secret_hint"])
    assert created["event_types"] == ["direct_payment.confirmed", "direct_payment.spent"]
    first, _ = await call(client.list_webhook_subscriptions)
    queued = await call(
        client.queue_webhook_test_delivery,
        event_type="direct_payment.confirmed",
        subscription_ids=[first["id"]],
        data={"mode": "readiness_probe", "readiness_probe": True},
    )
    await sandbox.idle()
    (delivery,) = await call(client.list_webhook_deliveries, subscription_id=first["id"], status="delivered", limit=10)
    assert_shape(delivery, DirectRequestPaymentWebhookDelivery)
    assert (delivery["event_id"], delivery["response_status"]) == (queued["event"]["id"], 204)
    assert shop.received[0].verified()["data"]["readiness_probe"] is True
    assert not await call(client.list_webhook_deliveries, event_type="direct_payment.spent")
    assert await call(client.list_webhook_deliveries, limit=100_000) == [delivery]


async def test_a_subscription_is_charged_each_month(sandbox: Sandbox, shop: Receiver) -> None:
    terms: Any = {"merchant": MERCHANT, "amount_minor": 980, "currency": "JPY", "cadence": "monthly"}
    challenge: Any = create_direct_request_payment_recurring_challenge(**terms, secret=SECRET, nonce="s1")
    await call(
        merchant(sandbox).create_webhook_subscription,
        callback_url="https://localhost:9/",
        event_types=["subscription.created", "subscription.renewed"],
    )
    made = await call(buyer(sandbox).create_subscription, **terms, challenge=challenge["challenge"])
    assert made["subscription_status"] == "active"
    again = await call(buyer(sandbox).create_subscription, **terms, challenge=challenge["challenge"])
    assert again["idempotent_replay"] is True
    await sandbox.advance(timedelta(days=62))
    assert [each.kind() for each in shop.confirmed()] == ["standard_settled"] * 3
    told = [each.event.type for each in sandbox.platform.webhooks.log() if each.event.type.startswith("subscription")]
    assert told == ["subscription.renewed"] * 2 + ["subscription.created"]
    with pytest.raises(SiglumeApiError) as refused:
        await call(buyer(sandbox, "bob").create_subscription, **terms, challenge=challenge["challenge"])
    assert refused.value.code == "EXTERNAL_402_CHALLENGE_USED"


async def test_a_scheduled_payment_runs_once_a_slot_until_it_is_revoked(sandbox: Sandbox, shop: Receiver) -> None:
    terms: Any = {"merchant": MERCHANT, "amount_minor": 1200, "currency": "JPY"}
    challenge: Any = create_direct_request_payment_recurring_challenge(
        **terms, cadence="daily", secret=SECRET, nonce="s1"
    )
    ann = buyer(sandbox)
    made = await call(ann.create_scheduled_auto_pay_authorization, **terms, challenge=challenge["challenge"])
    token = str(made["schedule_token"])
    runs = [await call(ann.execute_scheduled_auto_pay, schedule_token=token, slot_id=slot) for slot in ("a", "a", "b")]
    paid = [run["direct_payment_requirement_id"] for run in runs]
    assert paid[0] == paid[1] != paid[2]
    await sandbox.idle()
    assert [each.kind() for each in shop.confirmed()] == ["standard_settled"] * 2
    revoked = await call(ann.revoke_scheduled_auto_pay_authorization, made["authorization_id"])
    assert revoked["status"] == "revoked"
    with pytest.raises(SiglumeApiError) as refused:
        await call(ann.execute_scheduled_auto_pay, schedule_token=token, slot_id="c")
    assert refused.value.code == "AUTHORIZATION_REVOKED"


async def test_a_developer_key_is_no_token(sandbox: Sandbox) -> None:
    with pytest.raises(SiglumeApiError) as refused:
        await call(merchant(sandbox, "cli_key").get_merchant, MERCHANT)
    assert (refused.value.status, refused.value.code) == (403, "CLI_KEY_NOT_ACCEPTED")
