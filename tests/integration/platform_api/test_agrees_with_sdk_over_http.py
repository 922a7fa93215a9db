"""Every call over a real socket: what arrives from us is what arrives from the official SDK, and we read the answer."""

import asyncio
from typing import Any

import orjson
import pytest
import siglume_direct_request_payment as sdk

from shared.sdrp.api.clients import BuyerClient, CheckoutSetupInterrupted, MerchantClient, ProviderClient
from shared.sdrp.api.transport import Transport
from tests import platform_answers as answers
from tests.integration.platform_api.platform import TOKEN, Platform, data, refusal
from tests.platform_calls import CALLS, Call

OURS = {"merchant": MerchantClient, "buyer": BuyerClient, "provider": ProviderClient}
HEADERS = ("accept", "authorization", "content-type")
SETUP: dict[str, Any] = {
    "merchant": "Tea_House",
    "webhook_callback_url": "https://tea.example/webhooks/siglume",
    "max_amount_minor": 100_000,
    "checkout_allowed_origins": ["https://tea.example"],
}


def official(there: Platform, role: str) -> Any:  # noqa: ANN401 - one of two classes of the SDK
    client = sdk.DirectRequestPaymentMerchantClient if role == "merchant" else sdk.DirectRequestPaymentClient
    return client(auth_token=TOKEN, base_url=there.base_url)


def arrived(there: Platform) -> list[tuple[object, ...]]:
    """What was asked since the last time, as far as the protocol is concerned."""
    asked = [
        (one.method, one.raw_path, orjson.loads(one.body) if one.body else None, *map(one.headers.get, HEADERS))
        for one in there.received
    ]
    there.received.clear()
    return asked


@pytest.mark.parametrize("whole", [False, True], ids=["least", "whole"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
async def test_a_call_arrives_as_from_the_sdk(call: Call, whole: bool, there: Platform, connected: Transport) -> None:
    there.answers(data(call.answer))
    given = call.sound(whole=whole)
    mine = await getattr(OURS[call.role](connected), call.name)(**given)
    from_us = arrived(there)
    theirs = await asyncio.to_thread(getattr(official(there, call.role), call.name), **given)
    assert from_us == arrived(there)
    assert len(from_us) == 1
    assert (mine is None, theirs is None) == (False, False)


async def test_setting_up_a_checkout_asks_the_same_three_things(there: Platform, connected: Transport) -> None:
    script = [
        data(answers.merchant(challenge_secret="edrp_new")),
        data(answers.merchant(mandate={"mandate_id": "mandate_1"})),
        data(answers.subscription(signing_secret="whsec_new")),
    ]
    there.answers(*script)
    mine = await MerchantClient(connected).setup_checkout(**SETUP)
    from_us = arrived(there)
    there.answers(*script)
    theirs = await asyncio.to_thread(official(there, "merchant").setup_checkout, **SETUP)
    from_them = arrived(there)
    assert mine.environment() == theirs["env"]
    for asked, sdk_name in ((from_us, "kessai"), (from_them, "siglume-direct-request-payment")):
        body = asked[2][2]
        assert isinstance(body, dict)
        assert body["metadata"].pop("sdk") == sdk_name
    assert from_us == from_them
    assert "new" not in repr(mine)


async def test_a_setup_that_breaks_off_keeps_the_secret_that_is_shown_once(
    there: Platform, connected: Transport
) -> None:
    """The SDK loses it there."""
    there.answers(data(answers.merchant(challenge_secret="edrp_new")), refusal(403, "TERMS_MISSING"))
    with pytest.raises(CheckoutSetupInterrupted, match="TERMS_MISSING") as interrupted:
        await MerchantClient(connected).setup_checkout(**SETUP)
    done = interrupted.value.done
    assert done.environment()["SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET"] == "edrp_new"
    assert (done.billing_mandate, done.webhook_subscription) == (None, None)
    assert "edrp_new" not in f"{interrupted.value!r} {interrupted.value} {done!r}"


async def test_paying_a_requirement_from_beginning_to_end(there: Platform, connected: Transport) -> None:
    buyer = BuyerClient(connected)
    there.answers(data(answers.requirement()))
    requirement = await buyer.get_payment_requirement("dpr_1")
    there.answers(data(answers.execution()))
    assert (await buyer.execute_allowance_transaction(requirement)).receipt_id == "rcpt_1"
    assert (await buyer.execute_payment_transaction(requirement, await_finality=True)).receipt_id == "rcpt_1"
    sent = [orjson.loads(one.body) for one in there.received]
    assert [body["receipt_kind"] for body in sent] == ["sdrp_direct_payment_allowance", "sdrp_direct_payment"]
    assert sent[1]["transaction_request"] == answers.requirement()["transaction_request"]
    there.answers(data(answers.requirement(status="confirmed", chain_receipt_id="chain_1")))
    assert (await buyer.verify_payment_requirement("dpr_1", receipt_id="rcpt_1")).chain_receipt_id == "chain_1"
