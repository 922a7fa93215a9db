"""No token and no body leaves through an error, a log line or a text that shows an object."""

import logging
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from shared.sdrp.api.clients import BuyerClient, MerchantClient
from shared.sdrp.api.errors import SiglumeApiError
from shared.sdrp.api.requests import post
from shared.sdrp.api.transport import Transport
from tests.integration.platform_api.platform import TOKEN, Handler, Platform, hang_up, raw, refusal

SCHEDULE = "sched_that_nobody_may_see"
BODY = "body that nobody may see"

TROUBLE: list[Handler] = [
    refusal(401, TOKEN, f"bad token {TOKEN} and {SCHEDULE}"),
    refusal(500, "X", f"Authorization: Bearer {TOKEN} {SCHEDULE}"),
    raw(f"{BODY} {TOKEN}".encode()),
    raw(f'{{"data": {{"status": "{TOKEN}", "charge_status": 7}}}}'.encode()),
    raw(b'{"data": ["' + TOKEN.encode() + b'"]}'),
    hang_up(),
    hang_up(BODY.encode()),
    hang_up(BODY.encode(), length=9999),
]


def everything(error: BaseException | None) -> Iterator[str]:
    """All that anybody may be shown of an error, and of those that it came from."""
    while error is not None:
        yield f"{error!r} {error} {vars(error)}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_trouble_tells_no_secret(
    trouble: Handler, there: Platform, connected: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    there.answers(trouble)
    with pytest.raises(SiglumeApiError) as merchant:
        await MerchantClient(connected).get_merchant("tea_house")
    with pytest.raises(SiglumeApiError) as buyer:
        await BuyerClient(connected).execute_scheduled_auto_pay(
            schedule_token=SCHEDULE, slot_id="slot_1", draft_token=BODY
        )
    assert there.received[-1].headers["authorization"] == f"Bearer {SCHEDULE}"
    ours = [record.getMessage() for record in caplog.records if record.name != "aiohttp.access"]
    shown = " ".join([*everything(merchant.value), *ours, repr(connected)])
    assert TOKEN not in shown
    assert BODY not in shown
    shown = " ".join(everything(buyer.value))
    assert SCHEDULE not in shown
    assert BODY not in shown


def test_a_request_shows_neither_its_body_nor_its_token() -> None:
    request = post("x", "/x", {"draft_token": BODY}, repeatable=False, token=SecretStr(SCHEDULE))
    assert BODY not in repr(request)
    assert SCHEDULE not in repr(request)
