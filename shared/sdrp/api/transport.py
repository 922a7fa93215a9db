"""How do requests reach the platform? The only module here that does I/O.

A redirect is never followed, no cookie is kept, no proxy and no .netrc of the environment is used: the token goes to
the base URL and nowhere else. Answers are read up to a limit. Errors of the HTTP library hold the request with its
token, so ours are raised outside their handling and do not drag them along.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
from yarl import URL

from shared.sdrp.api.access import Access
from shared.sdrp.api.answers import Answer, data_of, refusal
from shared.sdrp.api.errors import TruncatedCsv, Unreachable, UnusableAnswer
from shared.sdrp.api.requests import Request
from shared.sdrp.api.retries import Patience, retrying

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer, unpacked: a full page of 500 rows has about half a million."""
MAX_REFUSAL = 64 * 1024
"""Bytes of a refusal that are looked at."""
CHUNK = 64 * 1024
KEEP_ALIVE = 4.0
"""Seconds; shorter than servers keep an idle connection, so that no request goes into one that is being closed."""

T = TypeVar("T")
Take = Callable[[aiohttp.ClientResponse, Request], Awaitable[T]]
Failure = aiohttp.ClientError | TimeoutError | OSError


def user_agent() -> str:
    try:
        return f"kessai/{version('kessai')}"
    except PackageNotFoundError:
        return "kessai"


class Transport:
    """Connections to one platform with one token: `async with Transport(access) as transport`."""

    def __init__(
        self, access: Access, *, patience: Patience | None = None, max_answer: int = MAX_ANSWER, connections: int = 16
    ) -> None:
        self._access: Final = access
        self._patience: Final = patience or Patience()
        self._max_answer: Final = max_answer
        self._connections: Final = connections
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"Transport({self._access.base_url!r})"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": user_agent()},
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, request: Request) -> object:
        """The data of the answer, retried as `retries` says. Raises SiglumeApiError and nothing else."""
        deadline = self._patience.deadline + request.holds_for
        timeout = aiohttp.ClientTimeout(
            total=self._patience.attempt + request.holds_for, sock_connect=self._patience.connect
        )
        try:
            async with asyncio.timeout(deadline):
                again = retrying(self._patience, holds_for=request.holds_for)
                return await again(self._try, request, timeout, self._data)
        except TimeoutError:
            pass
        what = f"not within {deadline:g} s"
        raise _no_answer(request, what, "DEADLINE_EXCEEDED", sent=True, retryable=request.repeatable)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body as a stream; only its beginning is retried. Raises SiglumeApiError."""
        timeout = aiohttp.ClientTimeout(
            total=self._patience.stream, sock_connect=self._patience.connect, sock_read=self._patience.attempt
        )
        again = retrying(self._patience, holds_for=0)
        response: aiohttp.ClientResponse = await again(self._try, request, timeout, self._opened)
        try:
            yield _pieces(response, request)
        finally:
            response.close()

    async def _try(self, request: Request, timeout: aiohttp.ClientTimeout, take: Take[T]) -> T:
        """One try. Raises SiglumeApiError."""
        failed: Failure
        try:
            return await take(await self._send(request, timeout), request)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failed = error
        raise _unreachable(failed, request)

    async def _data(self, response: aiohttp.ClientResponse, request: Request) -> object:
        async with response:
            answer = await self._read(response, request)
        return data_of(answer, request, now=datetime.now(UTC), token=self._token_of(request))

    async def _opened(self, response: aiohttp.ClientResponse, request: Request) -> aiohttp.ClientResponse:
        if response.status == 200:
            return response
        async with response:
            answer = await self._read(response, request)
        raise refusal(answer, request, now=datetime.now(UTC), token=self._token_of(request))

    async def _send(self, request: Request, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        if self._session is None or self._session.closed:
            raise RuntimeError("a Transport is open between `async with` and its end only")
        headers = {"Accept": request.accept, "Authorization": f"Bearer {self._token_of(request)}"}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        return await self._session.request(
            request.method,
            URL(f"{self._access.base_url}{request.path}", encoded=True),
            data=request.body,
            headers=headers,
            allow_redirects=False,
            skip_auto_headers=("Content-Type",),
            timeout=timeout,
        )

    async def _read(self, response: aiohttp.ClientResponse, request: Request) -> Answer:
        """Cuts a refusal at its limit; refuses a success that is longer than its limit."""
        succeeded = 200 <= response.status < 300
        most = self._max_answer if succeeded else MAX_REFUSAL
        body = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK):
            body += chunk
            if len(body) > most:
                response.close()
                if succeeded:
                    raise UnusableAnswer(
                        f"Siglume's answer to {request.call} is longer than {most} bytes: ask for less, or report it",
                        status=response.status,
                        code="ANSWER_TOO_LARGE",
                    )
                break
        headers = response.headers
        return Answer(response.status, response.content_type, bytes(body[:most]), headers.get("Retry-After"))

    def _token_of(self, request: Request) -> str:
        return (request.token or self._access.token).get_secret_value()


async def _pieces(response: aiohttp.ClientResponse, request: Request) -> AsyncIterator[bytes]:
    failed: Failure | None = None
    try:
        async for chunk in response.content.iter_chunked(CHUNK):
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        failed = error
    if failed is not None:
        kind = type(failed).__name__
        raise TruncatedCsv(f"the export of {request.call} broke off ({kind}): fetch it again", retryable=True)


def _unreachable(error: Failure, request: Request) -> Unreachable:
    """Nothing was sent where no connection came about. Bad TLS and bad URLs stay what they are."""
    kind = type(error).__name__
    if isinstance(error, aiohttp.ClientSSLError):
        return _no_answer(request, f"no trustworthy TLS ({kind})", "TLS_FAILED", sent=False, retryable=False)
    if isinstance(error, aiohttp.InvalidURL):
        return _no_answer(request, "the base URL names no host", "INVALID_URL", sent=False, retryable=False)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return _no_answer(request, f"no connection ({kind})", "NO_CONNECTION", sent=False, retryable=True)
    if isinstance(error, TimeoutError):
        return _no_answer(request, "a try took too long", "TIMEOUT", sent=True, retryable=request.repeatable)
    what = f"the connection broke ({kind})"
    return _no_answer(request, what, "CONNECTION_LOST", sent=True, retryable=request.repeatable)


def _no_answer(request: Request, what: str, code: str, *, sent: bool, retryable: bool) -> Unreachable:
    harmless = request.repeatable or not sent
    advice = "repeat the call later" if harmless else "check whether it was done before you repeat it"
    return Unreachable(f"Siglume did not answer {request.call}: {what}; {advice}", code=code, retryable=retryable)
