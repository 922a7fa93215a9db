"""The road of a request through the console: whose host, who asks, may the form act, may the role; then the page."""

import shlex
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import aiohttp_jinja2
import asyncpg
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler as AioHandler
from jinja2 import Environment, PackageLoader, StrictUndefined

from ingress.console import shown
from ingress.console.access.limits import LoginLimits
from ingress.console.access.requests import SAFE_METHODS, Frontier, is_form_token
from ingress.console.access.visitors import Reception, Visitor
from ingress.console.api.door import is_of_api
from ingress.console.api.operation import ROOT as API
from ingress.console.exporter import Exporter
from ingress.console.keyring import Keyring
from ingress.console.metrics import ConsoleMetrics
from ingress.console.pages import (
    audit,
    dead_letters,
    events,
    exports,
    find,
    keys,
    login,
    orders,
    overview,
    password,
    replays,
    revenue,
    reviews,
    users,
)
from ingress.console.plans import Plans
from ingress.console.pulse import Pulse
from ingress.console.queues import Queues
from ingress.console.reckoning import Reckoning, RevenueTerms
from ingress.console.sections import Route, Section
from ingress.console.static_files import StaticFiles
from ingress.console.visit import Failed, Services, Visit
from ingress.console.watch import Watch
from shared.errors import DatabaseUnavailable, KessaiError
from shared.ledger.books import Shop
from shared.ledger.database import Pool, TransientConflict, UnacceptableRow
from shared.ledger.passwords import Verifier
from shared.ledger.roles import Role
from shared.ledger.sessions import Terms
from shared.plurals import counted
from shared.sdrp.signature import SigningSecret

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")

SECTIONS: Final[Sequence[Section]] = (
    overview.SECTION,
    dead_letters.SECTION,
    replays.SECTION,
    reviews.SECTION,
    revenue.SECTION,
    orders.SECTION,
    events.SECTION,
    audit.SECTION,
    keys.SECTION,
    users.SECTION,
    find.SECTION,
    exports.SECTION,
    password.SECTION,
    login.SECTION,
)
"""In the order of the menu: what is urgent first."""

FORM_BYTES: Final = 64 * 1024
STATIC: Final = "/static/{digest}/{name}"
FORM: Final = "application/x-www-form-urlencoded"
VISIT: Final = web.RequestKey("visit", Visit)
UNKNOWN_HOST: Final = "Open it at the address where it listens, or tell it its name in KESSAI_CONSOLE_ORIGIN."
WRONG_METHOD: Final = "Pages are read by GET, acts are sent by their forms."
OUTDATED: Final = "Run kessai migrate, then reload."
BOOKS_AWAY: Final = "Webhooks are still taken and wait in RabbitMQ; workers go on when Postgres is back. Reload then."
ACT_UNKNOWN: Final = (
    "Whether it was done will show on its page when Postgres is back: look there before you do it again. "
    "The Back button of your browser keeps what you typed."
)
BOOKS_BUSY: Final = "Nothing was changed. Try again; narrow the list if it happens again."

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # `no-referrer` would make browsers send forms with the origin `null`
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}


class Site:
    """The console as a web application."""

    def __init__(
        self,
        *,
        pool: Pool,
        frontier: Frontier,
        roles: Mapping[str, Role],
        metrics: ConsoleMetrics,
        plans: Plans,
        reckoning: Reckoning,
        exporter: Exporter,
        shops: Mapping[str, Shop],
        secrets: Mapping[str, Sequence[SigningSecret]] | None = None,
        approvals: int = 1,
        queues: Queues | None = None,
        keyring: Keyring | None = None,
        terms: Terms | None = None,
        limits: LoginLimits | None = None,
        revenue_terms: RevenueTerms | None = None,
        api: web.Application | None = None,
    ) -> None:
        self.app = web.Application(middlewares=[self._through], client_max_size=FORM_BYTES)
        self._files = StaticFiles()
        self._metrics = metrics
        self._services = Services(
            pool=pool,
            environment=_environment(self.app, self._files),
            frontier=frontier,
            reception=Reception(frontier, roles, terms or Terms()),
            limits=limits or LoginLimits(),
            metrics=metrics,
            verifier=Verifier(),
            pulse=Pulse(pool),
            queues=queues,
            plans=plans,
            watch=(watch := Watch(pool)),
            shops=shops,
            secrets=secrets or {},
            approvals=approvals,
            reckoning=reckoning,
            revenue=revenue_terms or RevenueTerms(),
            exporter=exporter,
            keyring=keyring,
        )
        self.app.on_shutdown.append(_ends(watch, plans, reckoning))
        self.app.on_response_prepare.append(_protect)
        self.app.router.add_get(STATIC, self._files.serve)
        for section in SECTIONS:
            for route in section.routes:
                self._add(route)
        if api is not None:
            self.app.add_subapp(API, api)

    def _add(self, route: Route) -> None:
        async def enter(request: web.Request) -> web.StreamResponse:
            return await self._enter(route, request[VISIT])

        if route.method == "GET":
            self.app.router.add_get(route.path, enter)
        else:
            self.app.router.add_route(route.method, route.path, enter)

    @web.middleware
    async def _through(self, request: web.Request, handler: AioHandler) -> web.StreamResponse:
        """Every request, whatever becomes of it: an answer, counted."""
        began = time.perf_counter()
        visit = request[VISIT] = Visit(request, self._services)
        try:
            if not self._services.frontier.knows_host(request) and not is_of_api(request):  # which says so in JSON
                raise Failed(421, "This is not the address of the console", UNKNOWN_HOST)
            response = await handler(request)
        except Exception as error:
            failed = _in_words(error, is_act=request.method not in SAFE_METHODS)
            if failed.status >= 500 and failed.status != 503:
                log.exception("console.failed", path=request.path, method=request.method)
            response = await self._failure(visit, failed)
        self._metrics.answered(_route_of(request), response.status, time.perf_counter() - began)
        return response

    async def _enter(self, route: Route, visit: Visit) -> web.StreamResponse:
        """What every page and act asks first; there is no other way to one."""
        is_act = route.method not in SAFE_METHODS
        if is_act and self._services.frontier.comes_from_elsewhere(visit.request):
            raise Failed(403, "Another site sent this form", "Nothing was changed. Open the console itself to act.")
        await self._identify(visit)
        if route.needs is not None and visit.visitor is None:
            return _to_login(visit)
        if is_act:
            await _require_form(visit)
        if route.needs is not None and not visit.may(route.needs):
            raise Failed(403, f"This needs the role {route.needs}", f"You are {visit.person.role}: ask an admin.")
        return await route.handler(visit)

    async def _identify(self, visit: Visit) -> None:
        request, reception = visit.request, self._services.reception
        if visit.visitor is not None or (visit.token is None and not self._services.frontier.is_proxied(request)):
            return
        async with visit.books() as connection:
            vouched = await reception.vouched(request, connection)
            if vouched is None:
                visit.visitor = await reception.visitor(connection, visit.token)
                return
        if vouched.role is None:
            raise Failed(403, "You are not let in", f"{vouched.refused_because}.")
        visit.visitor, visit.is_proxied_login = Visitor(vouched.name, vouched.role, None), True

    async def _failure(self, visit: Visit, failed: Failed) -> web.Response:
        """The page of a failure, in the person's own frame when the books can still say who it is."""
        if failed.status in {404, 405}:
            with suppress(KessaiError, Failed):
                await self._identify(visit)
        again = visit.request.path_qs if visit.request.method in SAFE_METHODS else visit.came_from
        response = visit.page("failure.html", status=failed.status, failed=failed, again=again)
        if failed.retry_after is not None:
            response.headers["Retry-After"] = str(int(failed.retry_after) + 1)
        if failed.allowed:
            response.headers["Allow"] = ", ".join(sorted(failed.allowed))
        return response


def _environment(app: web.Application, files: StaticFiles) -> Environment:
    """Templates lie in the package; every value is escaped, a missing one is an error."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=PackageLoader("ingress.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        default_helpers=False,
    )
    environment.filters |= {
        "amount": shown.amount,
        "body": shown.body,
        "count": shown.count,
        "counted": counted,
        "figure": shown.figure,
        "lasted": shown.lasted,
        "percent": shown.percent,
        "pieces": shown.pieces,
        "shell": shlex.quote,
        "span": shown.span,
        "when": shown.when,
        "words": shown.words,
    }
    environment.globals |= {"asset": files.address, "link": shown.link, "sections": SECTIONS}
    return environment


def _ends(watch: Watch, plans: Plans, reckoning: Reckoning) -> Callable[[web.Application], Awaitable[None]]:
    """What goes on by itself must not keep the console from ending."""

    async def end(_app: web.Application) -> None:
        watch.is_over.set()
        await plans.close()
        await reckoning.close()

    return end


async def _protect(_request: web.Request, response: web.StreamResponse) -> None:
    """On every response, whoever made it."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")


def _to_login(visit: Visit) -> web.Response:
    """Pages are come back to; an act is not done again by itself."""
    if visit.request.method in SAFE_METHODS:
        return visit.to("/login", next=visit.request.path_qs if visit.request.path != "/" else None)
    raise Failed(401, "Your session is over", "Nothing was changed. Log in, then do it again.")


async def _require_form(visit: Visit) -> None:
    """Raises Failed unless the console itself gave this visitor the form."""
    if visit.request.content_type != FORM:
        raise Failed(415, "That is no form of the console")
    try:
        sent = await visit.request.post()
    except (ValueError, LookupError):  # bytes that are no text, or a charset that there is not
        raise Failed(400, "That is no form of the console") from None
    if not is_form_token(sent.get("form_token"), visit.secret):
        raise Failed(403, "This form is out of date", "Nothing was changed. Go back, reload the page, and try again.")


def _in_words(error: Exception, *, is_act: bool) -> Failed:
    """What went wrong, as a page may say it: no traceback, no SQL, no path."""
    match error:
        case Failed():
            return error
        case DatabaseUnavailable(__cause__=asyncpg.UndefinedTableError() | asyncpg.UndefinedColumnError()):
            return Failed(503, "The database does not hold the books of this Kessai", OUTDATED, retry_after=5)
        case DatabaseUnavailable():
            # Not the driver's words: anybody may read them, and they name addresses. The log and /readyz have them.
            return Failed(503, "Postgres is away", ACT_UNKNOWN if is_act else BOOKS_AWAY, retry_after=5)
        case TransientConflict():
            return Failed(503, "The books were busy", f"{error}. {BOOKS_BUSY}", retry_after=2)
        case UnacceptableRow():
            return Failed(400, "Postgres refuses this value", "Nothing was changed. Check what you entered.")
        case web.HTTPNotFound():
            return Failed(404, "There is no such page", "Begin at the overview, or search for an id.")
        case web.HTTPMethodNotAllowed():
            return Failed(405, "That cannot be done here", WRONG_METHOD, allowed=error.allowed_methods)
        case web.HTTPRequestEntityTooLarge():
            return Failed(413, "That is too long", "Nothing was changed. A form takes 64 KiB at most.")
        case web.HTTPException():
            return Failed(error.status, HTTPStatus(error.status).phrase)
        case _:
            return Failed(500, "A fault of Kessai itself", "Nothing more is known here: the console's log has it all.")


def _route_of(request: web.Request) -> str:
    """The page's path as we wrote it: a closed set, whatever is asked for."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "-"
