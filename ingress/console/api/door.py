"""The road of a call through the API: from where, by whom, may they, what is asked; then the answer as JSON."""

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final
from uuid import UUID

import orjson
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from ingress.console.access.limits import Failures
from ingress.console.access.requests import SAFE_METHODS, Frontier
from ingress.console.api import inputs, openapi
from ingress.console.api.call import EXPORTS_AT_ONCE, Call, Made, Room, Services
from ingress.console.api.operation import ROOT, AnyOperation
from ingress.console.api.refusals import (
    CROSS_SITE,
    FORBIDDEN,
    INTERNAL,
    MISDIRECTED,
    TOO_MANY_FAILURES,
    UNAUTHENTICATED,
    Refused,
    refusal_of,
)
from ingress.console.api.table import OPERATIONS
from ingress.console.plans import Plans
from shared.ledger import api_tokens
from shared.ledger.api_tokens import TOKEN, Holder
from shared.ledger.books import Shop
from shared.ledger.database import Pool, connected
from shared.sdrp.signature import SigningSecret

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")

HOLDER: Final = web.RequestKey("holder", Holder)
FAILURES: Final = 30
FAILURES_WITHIN: Final = 60.0
"""Seconds. Nobody guesses 256 bits: this only bounds what strangers and forgotten scripts cost the books."""
NO_TOKEN: Final = (
    "A live token is needed, as in Authorization: Bearer kessai_... "  # noqa: S105 - says how, holds none
    "`kessai tokens list` tells which are, `kessai tokens add` gives out another."
)


def is_of_api(request: web.Request) -> bool:
    return request.path.startswith(f"{ROOT}/")


class Api:
    """The admin API as an application, to be mounted at ROOT."""

    def __init__(
        self,
        *,
        pool: Pool,
        patient: Pool,
        plans: Plans,
        frontier: Frontier,
        shops: Mapping[str, Shop],
        approvals: int,
        secrets: Mapping[str, Sequence[SigningSecret]],
        failures: Failures | None = None,
    ) -> None:
        """`pool` connects as workers do; `patient` is for exports. Whoever made `plans` closes them."""
        self._frontier = frontier
        self._pool = pool
        self._failures = failures or Failures(allowed=FAILURES, within=FAILURES_WITHIN, clock=time.monotonic)
        self._services = Services(
            pool=pool,
            patient=patient,
            shops=shops,
            secrets=secrets,
            approvals=approvals,
            plans=plans,
            exports=Room(EXPORTS_AT_ONCE),
            document=_document,
        )
        self.app = web.Application(middlewares=[self._through])
        for operation in OPERATIONS:
            self._add(operation)

    def _add(self, operation: AnyOperation) -> None:
        async def enter(request: web.Request) -> web.StreamResponse:
            return await self._enter(operation, request)

        self.app.router.add_route(operation.method, operation.route, enter)

    @web.middleware
    async def _through(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every call, whatever becomes of it: an answer in JSON."""
        try:
            self._check_origin(request)
            request[HOLDER] = await self._holder(request)
            return await handler(request)
        except Exception as error:
            refused = refusal_of(error)
            if refused.kind is INTERNAL:
                log.exception("api.failed", path=request.path, method=request.method)
            elif refused.kind.status >= 500:
                log.warning("api.unavailable", path=request.path, error=f"{type(error).__name__}: {error}")
            return refused.response()

    def _check_origin(self, request: web.Request) -> None:
        """Raises Refused for what a page of another site, or at another name of ours, makes a browser send."""
        if not self._frontier.knows_host(request):
            raise Refused(MISDIRECTED, "Call it where it listens, or tell it its name in KESSAI_CONSOLE_ORIGIN.")
        if request.method not in SAFE_METHODS and self._frontier.comes_from_elsewhere(request):
            raise Refused(CROSS_SITE, "The Origin of this call is another site. Nothing was done.")

    async def _holder(self, request: web.Request) -> Holder:
        """Whose token it is; one answer for every cause. Raises Refused.

        Failures alone are counted, by address. A live token is taken all the same: behind one proxy everybody has the
        address of the strangers.
        """
        address = self._frontier.client_of(request)
        wait = self._failures.wait(address)
        token = _token(request)
        holder = None
        if token is not None:
            async with connected(self._pool) as connection:
                holder = await api_tokens.holder_of(connection, token)
        if holder is None and wait > 0:
            raise Refused(TOO_MANY_FAILURES, "Too many calls from here had no live token.", retry_after=wait)
        if holder is None:
            self._failures.count(address)
            log.warning("api.unauthenticated", address=address, path=request.path)
            raise Refused(UNAUTHENTICATED, NO_TOKEN, headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="kessai"'})
        return holder

    async def _enter(self, operation: AnyOperation, request: web.Request) -> web.StreamResponse:
        """What every operation asks first; there is no other way to one."""
        holder = request[HOLDER]
        if not holder.role.covers(operation.needs):
            raise Refused(
                FORBIDDEN, f"This needs the role {operation.needs}; {holder.name} is {holder.role}: ask an admin."
            )
        call = Call(request, self._services, holder)
        answer = await operation.handler(call, await inputs.read(operation.asks, request))
        if request.method not in SAFE_METHODS:
            log.info("api.acted", operation=operation.name, path=request.path, user=holder.name, label=holder.label)
        return _answered(answer)


def _token(request: web.Request) -> str | None:
    """What could be a token, of the one Authorization header."""
    lines = request.headers.getall(hdrs.AUTHORIZATION, [])
    scheme, _, token = lines[0].partition(" ") if len(lines) == 1 else ("", "", "")
    token = token.strip()
    return token if scheme.lower() == "bearer" and TOKEN.fullmatch(token) else None


def _answered(answer: object) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    if isinstance(answer, Made):
        return _json(answer.thing, status=answer.status, headers={hdrs.LOCATION: answer.location})
    return _json(answer)


def _json(thing: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """As `--json` of the commands tells it: every field by its name, times in UTC."""
    body = orjson.dumps(thing, default=_own_form, option=orjson.OPT_UTC_Z)
    return web.Response(status=status, body=body, content_type=inputs.JSON, headers=headers)


def _own_form(value: object) -> str:
    """asyncpg's ids are not those that orjson knows."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


@cache
def _document() -> bytes:
    """Made when it is first asked for: most consoles never are."""
    return openapi.document(OPERATIONS)
