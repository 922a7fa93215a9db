"""Whose call is it? The bearer of a live token's; strangers are slowed, and slow nobody else."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog
from aiohttp import hdrs, web

from ingress.api.failures import Failures
from ingress.api.problems import TOO_MANY_FAILURES, UNAUTHENTICATED, Refused
from ingress.api.sieve import Held, Sieve
from shared.ledger.bearer_tokens import TOKEN, digest
from shared.ledger.database import Connection, Pool, connected

Holder = TypeVar("Holder")

FAILURES: Final = 30
FAILURES_WITHIN: Final = 60.0
"""Seconds. Nobody guesses 256 bits: this only bounds what strangers and forgotten scripts cost the books."""

KNOWN: Final = 10_000
"""Tokens at most that are remembered to have been live."""


class Bearers(Generic[Holder]):
    """Lets in who has a live token; one answer for every cause."""

    def __init__(
        self,
        pool: Pool,
        holder_of: Callable[[Connection, str], Awaitable[Holder | None]],
        held: Held,
        *,
        log: structlog.stdlib.BoundLogger,
        advice: str,
        failures: Failures | None = None,
    ) -> None:
        """`advice` says how to come by a token."""
        self._pool = pool
        self._holder_of = holder_of
        self._sieve = Sieve(pool, held)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._log = log
        self._advice = advice
        self._failures = failures or Failures(allowed=FAILURES, within=FAILURES_WITHIN, clock=time.monotonic)

    def stranger(self, address: str) -> None:
        """For what needs no token: as often as calls without a live one may be made from there. Raises Refused."""
        wait = self._failures.wait(address)
        if wait > 0:
            raise _too_many(wait)
        self._failures.count(address)

    async def holder(self, request: web.Request, address: str) -> Holder:
        """Raises Refused, and KessaiError when the books cannot say.

        Failures alone are counted, by address. A live token is taken all the same: behind one proxy everybody has the
        address of the strangers.
        """
        wait = self._failures.wait(address)
        token = _token(request)
        holder = None if token is None else await self._of_token(token)
        if holder is None and wait > 0:
            raise _too_many(wait)
        if holder is None:
            self._failures.count(address)
            self._log.warning("api.unauthenticated", address=address, path=request.path)
            raise Refused(
                UNAUTHENTICATED,
                f"A live token is needed, as in Authorization: Bearer kessai_... {self._advice}",
                headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="kessai"'},
            )
        return holder

    async def _of_token(self, token: str) -> Holder | None:
        """A token that was live here before is asked about at once, each time; any other is behind the strangers'."""
        key = digest(token)
        if key not in self._known and not await self._sieve.holds(key):
            return None
        async with connected(self._pool) as connection:
            holder = await self._holder_of(connection, token)
        self._known.pop(key, None)
        if holder is not None:
            self._known[key] = None
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        return holder


def _too_many(wait: float) -> Refused:
    return Refused(TOO_MANY_FAILURES, "Too many calls from here had no live token.", retry_after=wait)


def _token(request: web.Request) -> str | None:
    """What could be a token, of the one Authorization header."""
    lines = request.headers.getall(hdrs.AUTHORIZATION, [])
    scheme, _, token = lines[0].partition(" ") if len(lines) == 1 else ("", "", "")
    token = token.strip()
    return token if scheme.lower() == "bearer" and TOKEN.fullmatch(token) else None
