"""Serves a request: checks the host, the user, the form and the role, then calls the page."""

import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import aiohttp_jinja2
import asyncpg
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler as AioHandler
from jinja2 import Environment, PackageLoader, StrictUndefined

from ingress.console import formats
from ingress.console.access.authentication import CurrentUser
from ingress.console.access.origins import SAFE_METHODS, is_form_token
from ingress.console.api.application import is_of_api
from ingress.console.api.operation import ROOT as API
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
from ingress.console.sections import Route, Section
from ingress.console.services import Services
from ingress.console.static_files import StaticFiles
from ingress.console.visit import Failed, Visit
from shared.errors import DatabaseUnavailable, KessaiError
from shared.ledger.database import TransientConflict, UnacceptableRow
from shared.plurals import counted

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
UNKNOWN_HOST: Final = "Open it at the address where it listens, or set its address in KESSAI_CONSOLE_ORIGIN."
WRONG_METHOD: Final = "Pages are read with GET, and acts are sent by the forms of the console."
OUTDATED: Final = "Run kessai migrate, then reload this page."
BOOKS_AWAY: Final = (
    "Kessai still accepts webhooks; they wait in RabbitMQ, and the workers go on when Postgres is back. "
    "Reload this page then."
)
ACT_UNKNOWN: Final = (
    "It is not known whether your change was saved. Check its page when Postgres is back, before you try again. "
    "The Back button of your browser brings back what you typed."
)
BOOKS_BUSY: Final = "Nothing was changed. Try again; if it happens again, choose a narrower list."

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

    def __init__(self, services: Services, *, api: web.Application | None = None) -> None:
        """`services` are closed when the application shuts down."""
        self.app = web.Application(middlewares=[self._answer], client_max_size=FORM_BYTES)
        self._services = services
        self._files = StaticFiles()
        self._templates = _environment(self.app, self._files)
        self.app.on_shutdown.append(self._close)
        self.app.on_response_prepare.append(_protect)
        self.app.router.add_get(STATIC, self._files.serve)
        for section in SECTIONS:
            for route in section.routes:
                self._add(route)
        if api is not None:
            self.app.add_subapp(API, api)

    async def _close(self, _app: web.Application) -> None:
        await self._services.close()

    def _add(self, route: Route) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(route, request[VISIT])

        if route.method == "GET":
            self.app.router.add_get(route.path, handle)
        else:
            self.app.router.add_route(route.method, route.path, handle)

    @web.middleware
    async def _answer(self, request: web.Request, handler: AioHandler) -> web.StreamResponse:
        """Answer every request, whatever goes wrong, and count it."""
        began = time.perf_counter()
        visit = request[VISIT] = Visit(request, self._services, self._templates)
        try:
            if not self._services.origins.knows_host(request) and not is_of_api(request):  # which says so in JSON
                raise Failed(421, "This is not the address of the console", UNKNOWN_HOST)
            response = await handler(request)
        except Exception as error:
            failed = _failed(error, is_act=request.method not in SAFE_METHODS)
            if failed.status >= 500 and failed.status != 503:
                log.exception("console.failed", path=request.path, method=request.method)
            response = await self._failure(visit, failed)
        self._services.metrics.answered(_route_of(request), response.status, time.perf_counter() - began)
        return response

    async def _handle(self, route: Route, visit: Visit) -> web.StreamResponse:
        """Check who may see the page or do the act, then do it; every route passes through here."""
        is_act = route.method not in SAFE_METHODS
        if is_act and self._services.origins.comes_from_elsewhere(visit.request):
            raise Failed(403, "Another site sent this form", "Nothing was changed. Do it in the console itself.")
        await self._identify(visit)
        if route.needs is not None and visit.current_user is None:
            return _to_login(visit)
        if is_act:
            await _require_form(visit)
        if route.needs is not None and not visit.may(route.needs):
            raise Failed(403, f"This needs the role {route.needs}", f"Your role is {visit.person.role}. Ask an admin.")
        return await route.handler(visit)

    async def _identify(self, visit: Visit) -> None:
        """Find out who the user is, by our session or by the headers of a trusted proxy. Raises Failed."""
        request, authenticator = visit.request, self._services.authenticator
        if visit.current_user is not None or (visit.token is None and not self._services.origins.is_proxied(request)):
            return
        async with visit.books() as connection:
            identity = await authenticator.proxy_identity(request, connection)
            if identity is None:
                visit.current_user = await authenticator.session_user(connection, visit.token)
                return
        if identity.role is None:
            raise Failed(403, "You have no access", f"{identity.refused_because}.")
        visit.current_user, visit.is_proxied_login = CurrentUser(identity.name, identity.role, None), True

    async def _failure(self, visit: Visit, failed: Failed) -> web.Response:
        """The page of a failure, with the menu of the user when the books can still tell who it is."""
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
    """The templates of the package. Every value is escaped, and a missing one is an error."""
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
        "amount": formats.amount,
        "body": formats.body,
        "count": formats.count,
        "counted": counted,
        "figure": formats.figure,
        "lasted": formats.lasted,
        "percent": formats.percent,
        "pieces": formats.pieces,
        "shell": shlex.quote,
        "span": formats.span,
        "when": formats.when,
        "words": formats.words,
    }
    environment.globals |= {"asset": files.address, "link": formats.link, "sections": SECTIONS}
    return environment


async def _protect(_request: web.Request, response: web.StreamResponse) -> None:
    """Set the security headers of every response."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")


def _to_login(visit: Visit) -> web.Response:
    """After the login a page is shown; an act is not repeated. Raises Failed for an act."""
    if visit.request.method in SAFE_METHODS:
        return visit.to("/login", next=visit.request.path_qs if visit.request.path != "/" else None)
    raise Failed(401, "Your session has ended", "Nothing was changed. Log in, then try again.")


async def _require_form(visit: Visit) -> None:
    """Raises Failed unless the console itself gave this user the form."""
    if visit.request.content_type != FORM:
        raise Failed(415, "This is not a form of the console")
    try:
        sent = await visit.request.post()
    except (ValueError, LookupError):  # bytes that are not text, or an unknown charset
        raise Failed(400, "This is not a form of the console") from None
    if not is_form_token(sent.get("form_token"), visit.secret):
        raise Failed(403, "This form is out of date", "Nothing was changed. Go back, reload the page, and try again.")


def _failed(error: Exception, *, is_act: bool) -> Failed:
    """What went wrong, as a page may show it: no traceback, no SQL, no path."""
    match error:
        case Failed():
            return error
        case DatabaseUnavailable(__cause__=asyncpg.UndefinedTableError() | asyncpg.UndefinedColumnError()):
            return Failed(503, "The database was made for another version of Kessai", OUTDATED, retry_after=5)
        case DatabaseUnavailable():
            # The driver's message names addresses, and anybody may read this page. The log and /readyz have it.
            return Failed(503, "Postgres cannot be reached", ACT_UNKNOWN if is_act else BOOKS_AWAY, retry_after=5)
        case TransientConflict():
            return Failed(503, "The books were busy", f"{error}. {BOOKS_BUSY}", retry_after=2)
        case UnacceptableRow():
            return Failed(400, "Postgres refused this value", "Nothing was changed. Check what you entered.")
        case web.HTTPNotFound():
            return Failed(404, "There is no such page", "Start at the overview, or search for an id.")
        case web.HTTPMethodNotAllowed():
            return Failed(405, "This page does not take that", WRONG_METHOD, allowed=error.allowed_methods)
        case web.HTTPRequestEntityTooLarge():
            return Failed(413, "This form is too long", "Nothing was changed. A form takes 64 KiB at most.")
        case web.HTTPException():
            return Failed(error.status, HTTPStatus(error.status).phrase)
        case _:
            return Failed(500, "Something went wrong in Kessai itself", "The log of the console has the details.")


def _route_of(request: web.Request) -> str:
    """The route as it is declared: a closed set of labels, whatever path is requested."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "-"
