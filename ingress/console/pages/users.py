"""Who may enter, and as what: for admins."""

from aiohttp import web

from ingress.console.messages import explained
from ingress.console.sections import Section, act, page
from ingress.console.visit import Tone, Visit, not_found
from shared.ledger import users
from shared.ledger.roles import Role
from shared.ledger.users import NotYourself, UserNotFound


async def list_users(visit: Visit) -> web.Response:
    async with visit.books() as connection:
        return visit.page("users/list.html", users=await users.everyone(connection), roles=list(Role))


async def set_role(visit: Visit) -> web.Response:
    form = await visit.form()
    name, role = form.get("name", ""), form.get("role", "")
    if role not in set(Role):
        return visit.to("/users", message=f"There is no role {role[:40]}. Nothing was changed.", tone=Tone.REFUSED)
    try:
        async with visit.books() as connection:
            before = await users.set_role(connection, name, Role(role), actor=visit.person.actor)
    except UserNotFound:
        raise not_found(f"There is no user {name}") from None
    except NotYourself as error:
        return _refused(visit, error)
    return visit.to("/users", message=f"{name} is {role}, was {before}.")


async def disable(visit: Visit) -> web.Response:
    name = (await visit.form()).get("name", "")
    try:
        async with visit.books() as connection:
            await users.disable(connection, name, actor=visit.person.actor)
    except UserNotFound:
        raise not_found(f"There is no user {name}") from None
    except NotYourself as error:
        return _refused(visit, error)
    return visit.to("/users", message=f"{name} is disabled and logged out.")


async def enable(visit: Visit) -> web.Response:
    name = (await visit.form()).get("name", "")
    try:
        async with visit.books() as connection:
            await users.enable(connection, name, actor=visit.person.actor)
    except UserNotFound:
        raise not_found(f"There is no user {name}") from None
    return visit.to("/users", message=f"{name} may log in again.")


def _refused(visit: Visit, error: NotYourself) -> web.Response:
    return visit.to("/users", message=explained(error), tone=Tone.REFUSED)


SECTION = Section(
    "Users",
    "/users",
    (
        page("/users", list_users, needs=Role.ADMIN),
        act("/users/role", set_role, needs=Role.ADMIN),
        act("/users/disable", disable, needs=Role.ADMIN),
        act("/users/enable", enable, needs=Role.ADMIN),
    ),
    needs=Role.ADMIN,
)
