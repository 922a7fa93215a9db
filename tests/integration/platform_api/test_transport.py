"""What happens between a call and its answer: tries, waits, limits, and what is never done."""

import asyncio
import gzip
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest
from aiohttp import web

from deploy.local.ports import free_ports
from shared.sdrp.api.access import Access
from shared.sdrp.api.clients import BuyerClient, MerchantClient
from shared.sdrp.api.errors import HostedCheckoutNotAvailableError, SiglumeApiError, Unreachable, UnusableAnswer
from shared.sdrp.api.retries import Patience
from shared.sdrp.api.transport import Transport
from tests.integration.platform_api.platform import (
    QUICK,
    TOKEN,
    Handler,
    Platform,
    data,
    hang_up,
    raw,
    refusal,
    slow,
    transport,
)
from tests.platform_answers import execution, merchant, new_session, requirement, session

CHECKOUT = {
    "merchant": "tea_house",
    "amount_minor": 1200,
    "currency": "JPY",
    "nonce": "order_1-attempt_1",
    "success_url": "https://tea.example/thanks",
    "cancel_url": "https://tea.example/cart",
}
TROUBLE: list[Handler] = [
    refusal(500),
    refusal(503),
    raw(b"<html>bad gateway", status=502),
    hang_up(),
    hang_up(b'{"da'),
]


async def pay(connected: Transport) -> None:
    """A call that moves money and has no nonce of its own."""
    await BuyerClient(connected).execute_prepared_transaction({"receipt_kind": "sdrp_direct_payment"})


@pytest.mark.parametrize("trouble", [*TROUBLE, refusal(429)])
async def test_a_read_is_asked_again_until_it_is_answered(
    trouble: Handler, there: Platform, connected: Transport
) -> None:
    there.answers(trouble, trouble, data(merchant()))
    assert (await MerchantClient(connected).get_merchant("tea_house")).account.merchant == "tea_house"
    assert len(there.received) >= 3


@pytest.mark.parametrize("trouble", [*TROUBLE, refusal(429)])
async def test_a_checkout_session_is_asked_for_again_with_the_same_nonce(
    trouble: Handler, there: Platform, connected: Transport
) -> None:
    there.answers(trouble, data(new_session()))
    await MerchantClient(connected).create_checkout_session(**CHECKOUT)  # type: ignore[arg-type]
    assert len({one.body for one in there.received}) == 1
    assert orjson.loads(there.received[1].body)["nonce"] == "order_1-attempt_1"


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_a_payment_whose_outcome_is_unknown_is_not_made_again(
    trouble: Handler, there: Platform, connected: Transport
) -> None:
    there.answers(trouble, data(execution()))
    with pytest.raises(SiglumeApiError, match="check whether it was done before you repeat it") as error:
        await pay(connected)
    assert (len(there.received), error.value.retryable) == (1, False)


async def test_a_payment_that_was_turned_away_before_anything_was_done_is_made_again(
    there: Platform, connected: Transport
) -> None:
    there.answers(refusal(429), refusal(429), data(execution()))
    await pay(connected)
    assert len(there.received) == 3


async def test_tries_are_bounded_and_the_last_refusal_is_told(there: Platform, connected: Transport) -> None:
    there.answers(refusal(503, "MAINTENANCE"))
    with pytest.raises(SiglumeApiError, match="503 MAINTENANCE") as error:
        await MerchantClient(connected).get_merchant("tea_house")
    assert (len(there.received), error.value.retryable) == (QUICK.attempts, True)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 301, 307, 308, 402])
async def test_a_refusal_that_stands_is_not_asked_again(status: int, there: Platform, connected: Transport) -> None:
    there.answers(refusal(status, Location=f"{there.base_url}/elsewhere"))
    with pytest.raises(SiglumeApiError) as error:
        await MerchantClient(connected).get_merchant("tea_house")
    assert (error.value.status, error.value.retryable, len(there.received)) == (status, False, 1)


async def test_a_redirect_is_not_followed_with_the_token(there: Platform, connected: Transport) -> None:
    there.answers(refusal(302, Location=f"{there.base_url}/elsewhere"))
    with pytest.raises(SiglumeApiError, match="a redirect is never followed with a token"):
        await MerchantClient(connected).get_merchant("tea_house")
    assert [one.raw_path for one in there.received] == ["/v1/sdrp/direct-payments/merchants/tea_house"]


async def test_no_cookie_is_kept(there: Platform, connected: Transport) -> None:
    there.answers(refusal(503, Set_Cookie="session=1"), data(merchant()))
    await MerchantClient(connected).get_merchant("tea_house")
    assert "cookie" not in there.received[1].headers


async def test_retry_after_in_seconds_is_waited_for(there: Platform, connected: Transport) -> None:
    there.answers(refusal(429, Retry_After="1"), data(merchant()))
    await MerchantClient(connected).get_merchant("tea_house")
    assert 1.0 <= there.received[1].at - there.received[0].at < 3.0


async def test_retry_after_as_a_date_is_waited_for(there: Platform, connected: Transport) -> None:
    until = datetime.now(UTC) + timedelta(seconds=2)
    there.answers(refusal(503, Retry_After=format_datetime(until, usegmt=True)), data(merchant()))
    await MerchantClient(connected).get_merchant("tea_house")
    assert there.received[1].at - there.received[0].at >= 0.9


async def test_a_wait_beyond_the_deadline_is_told_at_once(there: Platform, connected: Transport) -> None:
    there.answers(refusal(429, Retry_After="120"))
    began = time.monotonic()
    with pytest.raises(SiglumeApiError) as error:
        await MerchantClient(connected).get_merchant("tea_house")
    assert time.monotonic() - began < 2.0
    assert (error.value.retry_after, error.value.retryable, len(there.received)) == (120.0, True, 1)


async def test_a_try_that_takes_too_long_is_given_up_and_made_again(there: Platform) -> None:
    there.answers(slow(30, data(merchant())), data(merchant()))
    hasty = Patience(attempt=0.3, deadline=5.0, first_wait=0.01)
    async with transport(there, patience=hasty) as connected:
        await MerchantClient(connected).get_merchant("tea_house")
    assert len(there.received) == 2


async def test_a_payment_that_takes_too_long_is_not_made_again(there: Platform) -> None:
    there.answers(slow(30, data(execution())))
    async with transport(there, patience=Patience(attempt=0.3, deadline=5.0)) as connected:
        with pytest.raises(Unreachable, match="a try took too long; check whether it was done"):
            await pay(connected)
    assert len(there.received) == 1


async def test_a_call_ends_at_its_deadline_whatever_it_is_doing(there: Platform) -> None:
    there.answers(slow(30, data(merchant())))
    began = time.monotonic()
    async with transport(there, patience=Patience(attempt=20.0, deadline=0.5)) as connected:
        with pytest.raises(Unreachable) as error:
            await MerchantClient(connected).get_merchant("tea_house")
    assert time.monotonic() - began < 3.0
    assert (error.value.code, error.value.retryable) == ("DEADLINE_EXCEEDED", True)


async def test_a_call_that_asks_the_platform_to_wait_has_that_much_more_time(there: Platform) -> None:
    there.answers(slow(1.0, data(requirement())))
    async with transport(there, patience=Patience(attempts=1, attempt=0.5, deadline=0.5)) as connected:
        await BuyerClient(connected).verify_payment_requirement("dpr_1", await_finality=True, await_timeout_seconds=3)


async def test_a_cancelled_call_stays_cancelled(there: Platform, connected: Transport) -> None:
    there.answers(slow(30, data(merchant())))
    calling = asyncio.create_task(MerchantClient(connected).get_merchant("tea_house"))
    await asyncio.sleep(0.2)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert len(there.received) == 1


async def test_a_platform_that_is_not_there_is_tried_again_even_for_a_payment() -> None:
    (port,) = free_ports(1)
    nobody = Access.of(TOKEN, base_url=f"http://127.0.0.1:{port}/v1")
    async with Transport(nobody, patience=Patience(attempts=3, first_wait=0.1)) as connected:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="no connection") as error:
            await pay(connected)
    assert time.monotonic() - began > 0.1
    assert (error.value.status, error.value.code, error.value.retryable) == (None, "NO_CONNECTION", True)


async def test_a_server_without_trustworthy_tls_gets_no_token(there: Platform) -> None:
    plain = Access.of(TOKEN, base_url=there.base_url.replace("http:", "https:"))
    there.answers(data(merchant()))
    async with Transport(plain, patience=QUICK) as connected:
        with pytest.raises(Unreachable) as error:
            await MerchantClient(connected).get_merchant("tea_house")
    assert (error.value.code, error.value.retryable) == ("TLS_FAILED", False)
    assert there.received == []


@pytest.mark.parametrize(
    "page",
    [raw(b"<!doctype html><p>Welcome", content_type="text/html"), raw(b"{", content_type="a/b"), raw(b"\xff")],
)
async def test_a_page_instead_of_json_is_refused_and_not_asked_again(
    page: Handler, there: Platform, connected: Transport
) -> None:
    there.answers(page)
    with pytest.raises(UnusableAnswer, match="no JSON") as error:
        await MerchantClient(connected).get_merchant("tea_house")
    assert "Welcome" not in str(error.value)
    assert len(there.received) == 1


async def test_an_answer_beyond_the_limit_is_refused(there: Platform, connected: Transport) -> None:
    there.answers(data({"merchant_account": {"merchant": "x" * (2 << 20)}}))
    with pytest.raises(UnusableAnswer, match="longer than 1048576 bytes") as error:
        await MerchantClient(connected).get_merchant("tea_house")
    assert error.value.code == "ANSWER_TOO_LARGE"


async def test_a_small_answer_that_unpacks_beyond_the_limit_is_refused(there: Platform, connected: Transport) -> None:
    bomb = gzip.compress(b'{"data": "' + b" " * (20 << 20) + b'"}')
    there.answers(raw(bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises((UnusableAnswer, Unreachable)):
        await MerchantClient(connected).get_merchant("tea_house")


async def test_a_refusal_of_any_length_is_still_a_refusal(there: Platform, connected: Transport) -> None:
    there.answers(raw(b"x" * (3 << 20), status=403))
    with pytest.raises(SiglumeApiError) as error:
        await MerchantClient(connected).get_merchant("tea_house")
    assert (error.value.status, error.value.code) == (403, "HTTP_403")
    assert len(str(error.value)) < 300


async def test_an_answer_may_be_packed(there: Platform, connected: Transport) -> None:
    packed = gzip.compress(orjson.dumps({"data": merchant()}))
    there.answers(raw(packed, headers={"Content-Encoding": "gzip"}))
    assert (await MerchantClient(connected).get_merchant("tea_house")).account.status == "active"


async def test_an_answer_about_something_else_is_refused(there: Platform, connected: Transport) -> None:
    there.answers(data(session(session_id="chk_2")))
    with pytest.raises(UnusableAnswer, match="another session"):
        await MerchantClient(connected).get_checkout_session("chk_1")


@pytest.mark.parametrize(("status", "code"), [(409, "HOSTED_CHECKOUT_NOT_ENABLED"), (404, "ROUTE_NOT_FOUND")])
async def test_a_platform_without_hosted_checkout_is_told_apart(
    status: int, code: str, there: Platform, connected: Transport
) -> None:
    there.answers(refusal(status, code))
    with pytest.raises(HostedCheckoutNotAvailableError):
        await MerchantClient(connected).create_checkout_session(**CHECKOUT)  # type: ignore[arg-type]


async def test_a_revocation_that_is_confirmed_without_a_word_is_one(there: Platform, connected: Transport) -> None:
    async def no_content(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    there.answers(no_content)
    assert await BuyerClient(connected).revoke_scheduled_auto_pay_authorization("auth_1") is None


async def test_a_transport_that_is_not_open_says_so() -> None:
    closed = Transport(Access.of(TOKEN))
    with pytest.raises(RuntimeError, match="open between"):
        await MerchantClient(closed).get_merchant("tea_house")
