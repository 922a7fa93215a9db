"""What did the platform answer: the data of the call, or a refusal, and of which kind?"""

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from shared.observe.redaction import literals, redacted
from shared.sdrp.api.errors import HostedCheckoutNotAvailableError, SiglumeApiError, UnusableAnswer
from shared.sdrp.api.exact_json import parse_json
from shared.sdrp.api.requests import Request

MAX_MESSAGE = 200
"""Characters of the platform's own message that are kept."""
LONGEST_RETRY_AFTER = 86_400.0
"""Seconds; a longer wait is shortened to this."""

NOT_ENABLED = frozenset({"HOSTED_CHECKOUT_NOT_ENABLED", "FEATURE_DISABLED"})
NO_SUCH_ROUTE = frozenset({"HTTP_404", "NOT_FOUND", "ROUTE_NOT_FOUND", "FEATURE_DISABLED"})
"""The codes of a 404 from a platform without Hosted Checkout; an unknown session or merchant has another code."""
HOSTED_CHECKOUT = frozenset({"create_checkout_session", "get_checkout_session"})

_NO_JSON = object()
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,80}", re.ASCII)
_NEXT = {
    401: "check the token: it must be a Siglume user's bearer token that has not expired",
    403: "check that the token belongs to the merchant, provider or buyer of this call",
    404: "check the id or the merchant key",
    409: "check what exists already before you repeat the call",
    422: "correct the values of the call",
    429: "repeat the call later, and call less often",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    retry_after: str | None = None


def data_of(answer: Answer, request: Request, *, now: datetime, token: str) -> object:
    """The value of `data`, or the whole document when it has none; None for an empty body.

    Raises SiglumeApiError for a refusal, and UnusableAnswer for a success whose body is not JSON.
    """
    if not 200 <= answer.status < 300:
        raise refusal(answer, request, now=now, token=token)
    if not answer.body.strip():
        return None
    document = _parsed(answer.body)
    if document is _NO_JSON:
        kind = answer.content_type if _CODE.fullmatch(answer.content_type.replace("/", "")) else "another kind"
        raise UnusableAnswer(
            f"Siglume answered {request.call} with {kind} that is no JSON: check SIGLUME_API_BASE",
            status=answer.status,
            code="INVALID_JSON_RESPONSE",
        )
    return document["data"] if isinstance(document, dict) and "data" in document else document


def refusal(answer: Answer, request: Request, *, now: datetime, token: str) -> SiglumeApiError:
    """What an answer other than success means for the call."""
    code, message = _reason(answer, token)
    status = answer.status
    if request.call in HOSTED_CHECKOUT and (
        (status == 409 and code in NOT_ENABLED) or (status == 404 and code in NO_SUCH_ROUTE)
    ):
        return HostedCheckoutNotAvailableError(
            f"Siglume has not enabled Hosted Checkout for this merchant ({status} {code}): ask Siglume to enable it",
            status=status,
            code=code,
        )
    quoted = f" ({message})" if message else ""
    return SiglumeApiError(
        f"Siglume refused {request.call} with {status} {code}{quoted}; {_what_next(status, request)}",
        status=status,
        code=code,
        retryable=status == 429 or (status >= 500 and request.repeatable),
        retry_after=seconds_to_wait(answer.retry_after, now=now),
    )


def seconds_to_wait(header: str | None, *, now: datetime) -> float | None:
    """`Retry-After` as seconds or as an HTTP date; None when it is neither."""
    if header is None or not header.isascii():
        return None
    if header.strip().isdigit():
        seconds = float(header.strip()[:12])
    else:
        try:
            moment = parsedate_to_datetime(header)
            seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(max(math.ceil(seconds * 1000) / 1000, 0.0), LONGEST_RETRY_AFTER)


def _what_next(status: int, request: Request) -> str:
    if 300 <= status < 400:
        return "a redirect is never followed with a token: correct SIGLUME_API_BASE"
    if status >= 500:
        return "repeat the call later" if request.repeatable else "check whether it was done before you repeat it"
    return _NEXT.get(status, "correct the call")


def _reason(answer: Answer, token: str) -> tuple[str, str]:
    """The platform's code and its message, both safe to show."""
    document = _document(answer.body)
    error = document.get("error")
    details = error if isinstance(error, dict) else document
    known = literals([token])
    code = details.get("code") or document.get("code")
    if not isinstance(code, str) or not _CODE.fullmatch(code) or redacted(code, known) != code:
        code = f"HTTP_{answer.status}"
    message = details.get("message") or document.get("message")
    return code, _safe(redacted(message, known)) if isinstance(message, str) else _phrase(answer.status)


def _document(body: bytes) -> dict[str, object]:
    found = _parsed(body)
    return found if isinstance(found, dict) else {}


def _parsed(body: bytes) -> object:
    """The parser's error holds the whole body, so it goes no further than here."""
    try:
        return parse_json(body)
    except ValueError:
        return _NO_JSON


def _safe(message: str) -> str:
    """One line of printable text."""
    line = " ".join("".join(c if c.isprintable() else " " for c in message[: MAX_MESSAGE * 4]).split())
    return line if len(line) <= MAX_MESSAGE else f"{line[:MAX_MESSAGE]}…"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
