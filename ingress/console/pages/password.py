"""Changes the password of the user, and ends all their other sessions."""

import asyncio
from dataclasses import replace

from aiohttp import web

from ingress.console.formats import span
from ingress.console.forms import FRESH, Returned
from ingress.console.messages import explained
from ingress.console.sections import Section, act, page
from ingress.console.visit import Failed, Visit
from shared.ledger import sessions, users
from shared.ledger.passwords import PasswordRefused, hashed
from shared.ledger.roles import Role


async def show(visit: Visit) -> web.Response:
    return _form(visit)


def _form(visit: Visit, *, back: Returned = FRESH, status: int = 200) -> web.Response:
    if visit.is_proxied_login:
        raise Failed(
            404, "Kessai does not keep your password", "You log in through a proxy: change your password there."
        )
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
    name, terms = visit.person.name, visit.services.authenticator.session_terms
    async with visit.books() as connection, connection.transaction():
        await users.set_password(connection, name, password_hash, actor=visit.person.actor)
        token = await sessions.begin(connection, name, terms=terms, before=None)
    visit.current_user = replace(visit.person, session=token)  # what the next page tells is sealed by it
    response = visit.to("/", message="Your password is changed, and your other sessions have ended.")
    visit.begin_session(response, token, seconds=terms.absolute.total_seconds())
    visit.keep_device(response, name, password_hash)
    return response


async def _problems(visit: Visit, old: str, new: str, again: str) -> dict[str, str]:
    """What is wrong, by field. Guessing the old password is slowed down as at the login, for this session only."""
    if new != again:
        return {"again": "The two new passwords differ."}
    client = visit.person.name, visit.services.origins.client_of(visit.request), visit.person.session
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
