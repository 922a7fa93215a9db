"""How are webhooks sent to an ingress? Each is signed when it is sent; some go at once, optionally at a fixed rate."""

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from shared.errors import KessaiError
from shared.sdrp.signature import SigningSecret, sign

TIMEOUT = 30.0
"""Seconds an answer may take."""
UNREACHABLE = 0
"""Stands for the status of a request that got no answer."""


class BadAddress(KessaiError):
    """Not a URL to post to."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One request to send."""

    url: URL
    raw: bytes
    secret: SigningSecret | None
    """None leaves the signature out."""
    age: int = 0
    """Seconds by which its timestamp lies in the past."""
    further_headers: tuple[tuple[str, str], ...] = ()
    label: str = ""
    """Passed on to the callback for its answer."""

    def headers(self, now: float) -> dict[str, str]:
        headers = {"Content-Type": "application/json", **dict(self.further_headers)}
        if self.secret is not None:
            headers["Siglume-Signature"] = sign(self.raw, secret=self.secret, timestamp=int(now) - self.age)
        return headers


@dataclass(slots=True)
class Answers:
    """The answers of a run."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """From sending to the answer, of each request that got one."""
    trouble: str | None = None
    """Why the last request without an answer got none."""

    def percentile_ms(self, share: float) -> float | None:
        """Nearest rank; None when there was no answer."""
        ordered = sorted(self.seconds)
        return round(ordered[max(0, math.ceil(len(ordered) * share) - 1)] * 1000, 3) if ordered else None


def address(text: str) -> URL:
    """Raises BadAddress."""
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise BadAddress(f"{text!r} is no address to post to: write e.g. http://127.0.0.1:8080/webhooks/siglume")
    return url


async def post_all(
    postings: Iterable[Posting],
    *,
    concurrency: int,
    rate: float | None = None,
    answered: Callable[[Posting, int], None] = lambda _posting, _status: None,
) -> Answers:
    """Post in the order given, `concurrency` at once, at most `rate` a second. `answered` is called for each."""
    answers = Answers()
    due = _paced(postings, rate)
    connector = aiohttp.TCPConnector(limit=concurrency)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def post_next() -> None:
            for posting, moment in due:
                await asyncio.sleep(moment - time.monotonic())
                answered(posting, await _post(session, posting, answers))

        await asyncio.gather(*(post_next() for _ in range(concurrency)))
    return answers


def _paced(postings: Iterable[Posting], rate: float | None) -> Iterator[tuple[Posting, float]]:
    start = time.monotonic()
    for number, posting in enumerate(postings):
        yield posting, start + (number / rate if rate else 0)


async def _post(session: aiohttp.ClientSession, posting: Posting, answers: Answers) -> int:
    began = time.perf_counter()
    try:
        async with session.post(posting.url, data=posting.raw, headers=posting.headers(time.time())) as answer:
            await answer.read()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        answers.trouble = _trouble(error)
        answers.statuses[UNREACHABLE] += 1
        return UNREACHABLE
    answers.seconds.append(time.perf_counter() - began)
    answers.statuses[answer.status] += 1
    return answer.status


def _trouble(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        return os.strerror(cause.errno)
    return f"no answer within {TIMEOUT:g} s" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
