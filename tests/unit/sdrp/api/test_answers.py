"""What an HTTP answer means: data, a refusal and whether to ask again, and what of it may be shown."""

from datetime import UTC, datetime

import orjson
import pytest

from shared.sdrp.api.answers import LONGEST_RETRY_AFTER, MAX_MESSAGE, Answer, data_of, seconds_to_wait
from shared.sdrp.api.errors import HostedCheckoutNotAvailableError, SiglumeApiError, UnusableAnswer
from shared.sdrp.api.requests import Request, get, post

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
TOKEN = "tok_the_bearer_token"
READ = get("get_merchant", "/x")
ONCE = post("execute_prepared_transaction", "/x", {}, repeatable=False)
CHECKOUT = post("create_checkout_session", "/x", {}, repeatable=True)


def data(body: bytes, *, status: int = 200, request: Request = READ, retry_after: str | None = None) -> object:
    answer = Answer(status, "application/json", body, retry_after)
    return data_of(answer, request, now=NOW, token=TOKEN)


def refused(
    status: int, body: object = None, *, request: Request = READ, retry_after: str | None = None
) -> SiglumeApiError:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    with pytest.raises(SiglumeApiError) as error:
        data(raw, status=status, request=request, retry_after=retry_after)
    return error.value


def test_success_is_what_stands_under_data_or_the_whole_document() -> None:
    assert data(b'{"data": {"a": 1}, "meta": {}}') == {"a": 1}
    assert data(b'{"a": 1}') == {"a": 1}
    assert data(b"[1]") == [1]
    assert data(b'{"data": null}') is None
    assert data(b"  ") is None


@pytest.mark.parametrize(
    "body",
    [
        *(b"<!doctype html><p>hello", b"{", b'{"a": NaN}', b"\xff", b'{"a": "\\ud800"}', b"nope"),
        *(b"1e999", b"9" * 5000, b"[" * 990 + b"]" * 990, b"[" * 5000),
    ],
)
def test_success_that_is_no_json_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(UnusableAnswer, match="no JSON") as error:
        data(body)
    assert (error.value.code, error.value.status, error.value.retryable) == ("INVALID_JSON_RESPONSE", 200, False)
    assert "hello" not in str(error.value)


def test_a_refusal_carries_the_platforms_code_and_message() -> None:
    error = refused(409, {"error": {"code": "NONCE_REUSED", "message": "nonce was used"}})
    assert (error.status, error.code, error.retryable) == (409, "NONCE_REUSED", False)
    assert str(error) == (
        "Siglume refused get_merchant with 409 NONCE_REUSED (nonce was used); "
        "check what exists already before you repeat the call"
    )
    assert refused(400, {"code": "FLAT", "message": "m"}).code == "FLAT"


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"", {"error": "text"}, {"error": {"code": 7}}, {"error": {"code": "a b"}}]
)
def test_a_refusal_without_a_usable_code_is_known_by_its_status(body: object) -> None:
    assert refused(400, body).code == "HTTP_400"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 410, 422, 302])
def test_a_refusal_that_asking_again_cannot_change_says_so(status: int) -> None:
    assert not refused(status, {}).retryable


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_trouble_of_the_platform_may_be_asked_again_where_twice_does_no_more_than_once(status: int) -> None:
    assert refused(status, {}).retryable
    assert not refused(status, {}, request=ONCE).retryable
    assert "check whether it was done" in str(refused(status, {}, request=ONCE))


def test_too_many_requests_may_always_be_asked_again_because_nothing_was_done() -> None:
    error = refused(429, {}, request=ONCE, retry_after="7")
    assert (error.retryable, error.retry_after) == (True, 7.0)


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "HOSTED_CHECKOUT_NOT_ENABLED"), (409, "FEATURE_DISABLED"), (404, "FEATURE_DISABLED"), (404, "NOT_FOUND")],
)
def test_a_platform_without_hosted_checkout_is_told_apart(status: int, code: str) -> None:
    body = {"error": {"code": code, "message": "rollout gate 17"}}
    error = refused(status, body, request=CHECKOUT)
    assert isinstance(error, HostedCheckoutNotAvailableError)
    assert "rollout" not in str(error)
    assert not isinstance(refused(status, body), HostedCheckoutNotAvailableError)


def test_a_bare_404_of_checkout_is_a_platform_without_it_and_an_unknown_session_is_not() -> None:
    assert isinstance(refused(404, b"<html>", request=CHECKOUT), HostedCheckoutNotAvailableError)
    unknown = refused(404, {"error": {"code": "CHECKOUT_SESSION_NOT_FOUND"}}, request=CHECKOUT)
    assert not isinstance(unknown, HostedCheckoutNotAvailableError)


def test_a_message_is_cut_made_one_line_and_struck_of_secrets() -> None:
    message = f"a\x00b\x1b[31m\nc {TOKEN} whsec_abcdef eyJhbGciOiJIUzI1NiJ9.e30.sig " + "x" * 5000
    text = str(refused(400, {"error": {"code": TOKEN, "message": message}}))
    assert text.isprintable()
    assert len(text) < MAX_MESSAGE + 100
    for secret in (TOKEN, "abcdef", "eyJ"):
        assert secret not in text


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Friday, 20-Nov-26 12:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("99999999999999999999", LONGEST_RETRY_AFTER),
        ("Fri, 20 Nov 9999 12:00:30 GMT", LONGEST_RETRY_AFTER),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("\u0661\u0662", None),
        ("Fri, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header, now=NOW) == seconds
