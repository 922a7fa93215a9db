"""One's own password: the old one, the new one twice; whoever else was logged in under the name is out."""

import asyncio
from dataclasses import replace

from aiohttp import web

from ingress.console.forms import FRESH, Returned
from ingress.console.messages import explained
from ingress.console.sections import Section, act, page
from ingress.console.shown import span
from ingress.console.visit import Failed, Visit
from shared.ledger import sessions, users
from shared.ledger.passwords import PasswordRefused, hashed
from shared.ledger.roles import Role


async def show(visit: Visit) -> web.Response:
    return _form(visit)


def _form(visit: Visit, *, back: Returned = FRESH, status: int = 200) -> web.Response:
    if visit.is_proxied_login:
        raise Failed(404, "Kessai keeps no password of yours", "You log in elsewhere: change it there.")
    return visit.page("password.html", status=status, back=back)


async def change(visit: Visit) -> web.Response:
    fields = await visit.request.post()
    old, new, again = (str(fields.get(name, "")) for name in ("old", "new", "again"))  # untrimmed: blanks count
    problems = await _problems(visit, old, new, again)
    if problems:
        return _form(visit, back=Returned("password", {}, problems), status=400)
    try:
        password_hash = await asyncio.to_thread(hashed, new)
    except PasswordRefused as error:
        return _form(visit, back=Returned("password", {}, {"new": explained(error)}), status=400)
    name, terms = visit.person.name, visit.services.reception.terms
    async with visit.books() as connection, connection.transaction():
        await users.set_password(connection, name, password_hash, actor=visit.person.actor)
        token = await sessions.begin(connection, name, terms=terms, before=None)
    visit.visitor = replace(visit.person, session=token)  # what the next page tells is sealed by it
    response = visit.to("/", told="Your password is changed; every other session of yours is over.")
    visit.begin_session(response, token, seconds=terms.absolute.total_seconds())
    visit.keep_device(response, name, password_hash)
    return response


async def _problems(visit: Visit, old: str, new: str, again: str) -> dict[str, str]:
    """Guessing the old one is slowed down as at the login, for this session alone."""
    if new != again:
        return {"again": "The two new passwords differ."}
    client = visit.person.name, visit.services.frontier.client_of(visit.request), visit.person.session
    wait = visit.services.limits.try_now(*client)
    if wait:
        return {"old": f"Too many tries. The next one may be made in {span(round(wait))}."}
    async with visit.books() as connection:
        known = await users.credentials(connection, visit.person.name)
    if known is None or not await visit.services.verifier.matches(old, known.password_hash):
        return {"old": "That is not your password."}
    visit.services.limits.succeeded(*client)
    return {}


SECTION = Section(
    "Password",
    "/password",
    (page("/password", show), act("/password", change, needs=Role.VIEWER)),
    is_in_menu=False,
)
