"""Logging in with a name and a password, and logging out."""

import math

import structlog
from aiohttp import web

from ingress.console.formats import span
from ingress.console.sections import Section, act, page
from ingress.console.visit import Visit
from shared.ledger import sessions, users
from shared.ledger.names import NAME
from shared.ledger.roles import Role
from shared.ledger.users import Credentials

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")

WRONG = "No user has this name and this password. Check both; an admin can set another password."


async def show(visit: Visit) -> web.Response:
    onward = _local(visit.query("next"))
    if visit.current_user is not None:
        return visit.to(onward)
    return await _form(visit, onward=onward)


async def log_in(visit: Visit) -> web.Response:
    """Begin a session. A wrong name and a wrong password get the same answer after the same work."""
    form = await visit.form()
    name, onward = form.get("name", ""), _local(form.get("next"))
    password = str((await visit.request.post()).get("password", ""))  # untrimmed: blanks are part of it
    known = await _credentials(visit, name)
    client = name, visit.services.origins.client_of(visit.request), visit.device_of(name, known)
    wait = visit.services.limits.try_now(*client)
    if wait:
        visit.services.metrics.login("slowed")
        return await _form(visit, onward=onward, name=name, status=429, wait=wait)
    if not await _is_right(visit, known, password) or known is None:
        visit.services.metrics.login("refused")
        log.warning("console.login_refused", name=name[:64], address=client[1])
        return await _form(visit, onward=onward, name=name, status=401, problem=WRONG)
    visit.services.limits.succeeded(*client)
    visit.services.metrics.login("accepted")
    return await _welcome(visit, name, known, onward)


async def _is_right(visit: Visit, known: Credentials | None, password: str) -> bool:
    password_hash = known.password_hash if known is not None and not known.is_disabled else None
    return await visit.services.verifier.matches(password, password_hash)


async def _credentials(visit: Visit, name: str) -> Credentials | None:
    if not NAME.fullmatch(name):
        return None
    async with visit.books() as connection:
        return await users.credentials(connection, name)


async def _welcome(visit: Visit, name: str, known: Credentials, onward: str) -> web.Response:
    terms = visit.services.authenticator.session_terms
    async with visit.books() as connection:
        token = await sessions.begin(connection, name, terms=terms, before=visit.token)
    response = visit.to(onward)
    visit.begin_session(response, token, seconds=terms.absolute.total_seconds())
    visit.keep_device(response, name, known.password_hash)
    return response


async def _form(
    visit: Visit,
    *,
    onward: str,
    name: str = "",
    status: int = 200,
    problem: str | None = None,
    wait: float | None = None,
) -> web.Response:
    async with visit.books() as connection:
        is_empty = not await users.anyone(connection)
    if wait is not None:
        problem = f"Too many tries. The next one may be made in {span(math.ceil(wait))}."
    response = visit.page("login.html", status=status, onward=onward, name=name, problem=problem, is_empty=is_empty)
    if wait is not None:
        response.headers["Retry-After"] = str(math.ceil(wait))
    return response


async def log_out(visit: Visit) -> web.Response:
    token = visit.person.session
    if token is not None:
        async with visit.books() as connection:
            await sessions.end(connection, token)
    response = visit.to("/login")
    visit.end_session(response)
    return response


def _local(address: str | None) -> str:
    """The page to show after the login; it is always a page of the console."""
    if address is None or not address.isprintable() or "\\" in address:
        return "/"
    is_ours = address.startswith("/") and not address.startswith(("//", "/login", "/logout"))
    return address if is_ours else "/"


SECTION = Section(
    "Log in",
    "/login",
    (
        page("/login", show, needs=None),
        act("/login", log_in, needs=None),
        act("/logout", log_out, needs=Role.VIEWER),
    ),
    is_in_menu=False,
)
