"""Serves a call of the admin API: checks the origin, the token and the role, then calls the operation."""

from functools import cache
from typing import Final

import structlog
from aiohttp import web

from ingress.api import inputs, openapi
from ingress.api.answers import answered
from ingress.api.application import application
from ingress.api.authentication import TokenAuthentication
from ingress.api.failures import Failures
from ingress.api.problems import FORBIDDEN, Refused
from ingress.console.access.origins import SAFE_METHODS
from ingress.console.api.call import Call
from ingress.console.api.operation import ROOT, AnyOperation
from ingress.console.api.refusals import CROSS_SITE, MISDIRECTED, refusal_of
from ingress.console.api.table import OPERATIONS
from ingress.console.services import Services
from shared.ledger import api_tokens
from shared.ledger.api_tokens import Holder

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")

HOLDER: Final = web.RequestKey("holder", Holder)
TITLE: Final = "Kessai admin API"
ABOUT: Final = (
    "What operators can do in the console. A call carries `Authorization: Bearer ...` with a token of `kessai tokens "
    "add` and may do what the user of the token may: viewers read, operators act, admins manage users. Lists go on at "
    "`next_cursor`. Amounts are whole minor units, times are UTC. An act that comes too late for what its caller saw "
    "is a 409 and changes nothing."
)
ADVICE: Final = "`kessai tokens list` shows the live tokens, and `kessai tokens add` makes another."


def is_of_api(request: web.Request) -> bool:
    return request.path.startswith(f"{ROOT}/")


class Api:
    """The admin API as an application, to be mounted at ROOT."""

    def __init__(self, services: Services, *, failures: Failures | None = None) -> None:
        """Whoever made `services` closes them."""
        self._services = services
        self._authentication = TokenAuthentication(
            services.pool, api_tokens.holder_of, api_tokens.held, log=log, advice=ADVICE, failures=failures
        )
        self.app = application(OPERATIONS, admit=self._admit, enter=self._enter, refusal_of=refusal_of, log=log)

    async def _admit(self, request: web.Request) -> None:
        """Raises Refused."""
        self._check_origin(request)
        request[HOLDER] = await self._authentication.holder(request, self._services.origins.client_of(request))

    def _check_origin(self, request: web.Request) -> None:
        """Raises Refused for a call that a browser sends for a page of another site or of another host name."""
        if not self._services.origins.knows_host(request):
            raise Refused(
                MISDIRECTED, "Call it at the address where it listens, or set its address in KESSAI_CONSOLE_ORIGIN."
            )
        if request.method not in SAFE_METHODS and self._services.origins.comes_from_elsewhere(request):
            raise Refused(CROSS_SITE, "The Origin of this call is another site. Nothing was done.")

    async def _enter(self, operation: AnyOperation, request: web.Request) -> web.StreamResponse:
        """What every operation params first; there is no other way to one."""
        holder = request[HOLDER]
        if not holder.role.covers(operation.needs):
            raise Refused(
                FORBIDDEN, f"This needs the role {operation.needs}; {holder.name} is {holder.role}: ask an admin."
            )
        call = Call(request, self._services, holder, _document)
        answer = await operation.handler(call, await inputs.read(operation.params, request))
        if request.method not in SAFE_METHODS:
            log.info("api.acted", operation=operation.name, path=request.path, user=holder.name, label=holder.label)
        return answered(answer)


@cache
def _document() -> bytes:
    """Made when it is first params for: most consoles never are."""
    return openapi.document(OPERATIONS, title=TITLE, about=ABOUT, root=ROOT)
