"""The road of a call through the admin API: from where, by whom, may they; then the operation."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import structlog
from aiohttp import web

from ingress.api import door, inputs, openapi
from ingress.api.answers import answered
from ingress.api.bearer import Bearers
from ingress.api.failures import Failures
from ingress.api.problems import FORBIDDEN, Refused
from ingress.console.access.requests import SAFE_METHODS, Frontier
from ingress.console.api.call import Call, Services
from ingress.console.api.operation import ROOT, AnyOperation
from ingress.console.api.refusals import CROSS_SITE, MISDIRECTED, refusal_of
from ingress.console.api.table import OPERATIONS
from ingress.console.exporter import Exporter
from ingress.console.plans import Plans
from ingress.console.reckoning import Reckoning, RevenueTerms
from shared.ledger import api_tokens
from shared.ledger.api_tokens import Holder
from shared.ledger.books import Shop
from shared.ledger.database import Pool
from shared.sdrp.signature import SigningSecret

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")

HOLDER: Final = web.RequestKey("holder", Holder)
TITLE: Final = "Kessai admin API"
ABOUT: Final = (
    "What the operators' desk can do. A call carries `Authorization: Bearer ...` with a token of `kessai tokens add`; "
    "it may do what the token's user may: viewers read, operators act, admins say who the others are. Lists go on at "
    "`next_cursor`. Amounts are whole minor units, times are UTC. An act that comes too late for what its caller saw "
    "is a 409 and changes nothing."
)
ADVICE: Final = "`kessai tokens list` tells which are, `kessai tokens add` gives out another."


def is_of_api(request: web.Request) -> bool:
    return request.path.startswith(f"{ROOT}/")


class Api:
    """The admin API as an application, to be mounted at ROOT."""

    def __init__(
        self,
        *,
        pool: Pool,
        exporter: Exporter,
        plans: Plans,
        frontier: Frontier,
        shops: Mapping[str, Shop],
        approvals: int,
        secrets: Mapping[str, Sequence[SigningSecret]],
        reckoning: Reckoning,
        revenue: RevenueTerms | None = None,
        failures: Failures | None = None,
    ) -> None:
        """`pool` connects as workers do. The caller closes `plans` and `reckoning`."""
        self._frontier = frontier
        self._bearers = Bearers(pool, api_tokens.holder_of, api_tokens.held, log=log, advice=ADVICE, failures=failures)
        self._services = Services(
            pool=pool,
            shops=shops,
            secrets=secrets,
            approvals=approvals,
            plans=plans,
            reckoning=reckoning,
            revenue=revenue or RevenueTerms(),
            exporter=exporter,
            document=_document,
        )
        self.app = door.application(OPERATIONS, admit=self._admit, enter=self._enter, refusal_of=refusal_of, log=log)

    async def _admit(self, request: web.Request) -> None:
        """Raises Refused."""
        self._check_origin(request)
        request[HOLDER] = await self._bearers.holder(request, self._frontier.client_of(request))

    def _check_origin(self, request: web.Request) -> None:
        """Raises Refused for what a page of another site, or at another name of ours, makes a browser send."""
        if not self._frontier.knows_host(request):
            raise Refused(MISDIRECTED, "Call it where it listens, or tell it its name in KESSAI_CONSOLE_ORIGIN.")
        if request.method not in SAFE_METHODS and self._frontier.comes_from_elsewhere(request):
            raise Refused(CROSS_SITE, "The Origin of this call is another site. Nothing was done.")

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
        return answered(answer)


@cache
def _document() -> bytes:
    """Made when it is first asked for: most consoles never are."""
    return openapi.document(OPERATIONS, title=TITLE, about=ABOUT, root=ROOT)
