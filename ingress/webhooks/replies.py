"""What does the webhook ingress answer? One of a closed set of answers, whose bytes are made once.

Errors are problem details (RFC 9457). They contain nothing that a stranger did not send. Above all there is a single
401, with the same bytes whatever is wrong with a signature.
"""

import time
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import orjson
from aiohttp import ClientConnectionResetError, web


@dataclass(frozen=True, slots=True)
class Problem:
    """The document that explains a refusal."""

    status: HTTPStatus
    slug: str
    """Stable; `type` is made of it."""
    title: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()

    def body(self) -> bytes:
        return orjson.dumps(
            {
                "type": f"urn:kessai:problem:{self.slug}",
                "title": self.title,
                "status": int(self.status),
                "detail": self.detail,
            }
        )


@lru_cache(maxsize=1)
def date_header(second: int) -> bytes:
    """The `Date` header at this unix time; formatted once a second."""
    return b"\r\nDate: " + formatdate(second, usegmt=True).encode()


class Reply(web.StreamResponse):
    """A response without the state of any request, so that one instance answers them all.

    aiohttp's `Response` builds and serializes its headers anew for each request, a tenth of the cost of a webhook.
    """

    def __init__(self, status: HTTPStatus, *, head: bytes, body: bytes, keep_alive: bool) -> None:
        super().__init__(status=status)
        self._first = b"HTTP/1.1 %d %b" % (status, status.phrase.encode())
        self._rest = (b"" if keep_alive else b"\r\nConnection: close") + head + b"\r\n\r\n"
        self._content = body
        self._stays = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._stays

    def bytes_for(self, method: str) -> bytes:
        """The whole response as it goes over the wire now."""
        content = b"" if method == "HEAD" else self._content
        return self._first + date_header(int(time.time())) + self._rest + content

    async def prepare(self, request: web.BaseRequest) -> None:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ClientConnectionResetError("the sender hung up before the answer")
        transport.write(self.bytes_for(request.method))
        if request.protocol.writing_paused:
            await request.writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """Everything was written by `prepare`."""


class Answer:
    """Two replies with one meaning: one lets the connection stay open, the other closes it."""

    def __init__(self, status: HTTPStatus, *, problem: Problem | None = None) -> None:
        body = problem.body() if problem else b""
        head = _head_of(problem, len(body)) if problem else b""
        self.status = status
        self.stay = Reply(status, head=head, body=body, keep_alive=True)
        self.close = Reply(status, head=head, body=body, keep_alive=False)

    def to(self, request: web.BaseRequest) -> Reply:
        """Kept open only when the whole request was read, so that the next one begins where the sender thinks."""
        if request.keep_alive and request.version.minor == 1 and request.content.is_eof():
            return self.stay
        return self.close


def _head_of(problem: Problem, length: int) -> bytes:
    headers = (("Content-Type", "application/problem+json"), ("Content-Length", str(length)), *problem.headers)
    return "".join(f"\r\n{name}: {value}" for name, value in headers).encode()


ACCEPTED = Answer(HTTPStatus.NO_CONTENT)


def _refusal(status: HTTPStatus, slug: str, title: str, detail: str, *headers: tuple[str, str]) -> Answer:
    return Answer(status, problem=Problem(status, slug, title, detail, headers))


BAD_REQUEST = _refusal(
    HTTPStatus.BAD_REQUEST, "bad-request", "Not a valid HTTP request", "The request breaks the rules of HTTP/1.1."
)
UNAUTHENTICATED = _refusal(
    HTTPStatus.UNAUTHORIZED,
    "unauthenticated",
    "No valid signature",
    "One Siglume-Signature header by a live secret over these exact bytes is needed.",
    ("WWW-Authenticate", "Siglume-Signature"),
)
NOT_FOUND = _refusal(
    HTTPStatus.NOT_FOUND, "not-found", "No such endpoint", "Webhooks are taken at /webhooks/{endpoint}."
)
METHOD_NOT_ALLOWED = _refusal(
    HTTPStatus.METHOD_NOT_ALLOWED,
    "method-not-allowed",
    "Method not allowed",
    "Send webhooks by POST.",
    ("Allow", "POST"),
)
TOO_SLOW = _refusal(
    HTTPStatus.REQUEST_TIMEOUT, "too-slow", "Request too slow", "The whole request did not arrive in time."
)
TOO_LARGE = _refusal(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", "Body too large", "The body is larger than this server accepts."
)
ENCODED = _refusal(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "encoded",
    "Content coding not supported",
    "The signature covers raw bytes: send the body without Content-Encoding.",
    ("Accept-Encoding", "identity"),
)
HEADERS_TOO_LARGE = _refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "headers-too-large",
    "Request line or headers too large",
    "The request line or a header field is longer than this server accepts.",
)
BROKEN = _refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Internal error", "The event was not accepted: send it again later."
)
UNCONFIRMED = _refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "unconfirmed",
    "Not accepted for now",
    "The event could not be stored durably: send it again later.",
    ("Retry-After", "5"),
)
BUSY = _refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "busy",
    "Busy",
    "Too much is in progress: send the event again soon.",
    ("Retry-After", "1"),
)
