"""Authenticates calls by bearer tokens. Callers without a live token are slowed down, and slow nobody else down."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog
from aiohttp import hdrs, web

from ingress.api.failures import Failures
from ingress.api.problems import TOO_MANY_FAILURES, UNAUTHENTICATED, Refused
from ingress.api.token_lookup import FindTokens, TokenLookupBatcher
from shared.ledger.bearer_tokens import TOKEN, digest
from shared.ledger.database import Connection, Pool, connected

Holder = TypeVar("Holder")

FAILURES: Final = 30
FAILURES_WITHIN: Final = 60.0
"""Seconds. Nobody guesses 256 bits; this only limits what unauthenticated callers cost the books."""

KNOWN: Final = 10_000
"""How many tokens are remembered as having been live."""


class TokenAuthentication(Generic[Holder]):
    """Admits callers with a live token. Every other caller gets the same answer, whatever the cause."""

    def __init__(
        self,
        pool: Pool,
        holder_of: Callable[[Connection, str], Awaitable[Holder | None]],
        find: FindTokens,
        *,
        log: structlog.stdlib.BoundLogger,
        advice: str,
        failures: Failures | None = None,
    ) -> None:
        """`advice` says how to get a token."""
        self._pool = pool
        self._holder_of = holder_of
        self._lookups = TokenLookupBatcher(pool, find)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._log = log
        self._advice = advice
        self._failures = failures or Failures(allowed=FAILURES, within=FAILURES_WITHIN, clock=time.monotonic)

    def admit_anonymous(self, address: str) -> None:
        """Count a call that needs no token, within the limit for calls without a live one. Raises Refused beyond it."""
        wait = self._failures.wait(address)
        if wait > 0:
            raise _too_many(wait)
        self._failures.count(address)

    async def holder(self, request: web.Request, address: str) -> Holder:
        """The holder of the call's token. Raises Refused, and KessaiError when the books cannot be read.

        Only failures are counted, by address. A live token is admitted even from an address with too many failures,
        because behind one proxy all callers share an address.
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
        """The holder of the token. A token that was live before is looked up at once; any other waits for a batch."""
        key = digest(token)
        if key not in self._known and not await self._lookups.holds(key):
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
    """The token of the Authorization header, when there is one header and it has the form of a token."""
    lines = request.headers.getall(hdrs.AUTHORIZATION, [])
    scheme, _, token = lines[0].partition(" ") if len(lines) == 1 else ("", "", "")
    token = token.strip()
    return token if scheme.lower() == "bearer" and TOKEN.fullmatch(token) else None
