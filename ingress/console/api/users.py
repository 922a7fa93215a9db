"""Who may enter the console, and as what: for admins."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Final

from pydantic import Field, SecretStr

from ingress.api.answers import Made
from ingress.api.inputs import Input, Nothing, Text
from ingress.api.operation import Listed, Thing
from ingress.api.problems import CONFLICT
from ingress.console.api.call import Call, Page
from ingress.console.api.operation import ROOT, AnyOperation, act, read
from shared.ledger import users
from shared.ledger.database import Connection
from shared.ledger.names import NAME
from shared.ledger.passwords import LONGEST, SHORTEST, hashed
from shared.ledger.roles import Role
from shared.ledger.users import User

Password = Annotated[SecretStr, Field(min_length=SHORTEST, max_length=LONGEST)]


class OfUser(Input):
    name: Text


class NewUser(Input):
    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    role: Role = Role.VIEWER
    password: Password


class NewRole(OfUser):
    role: Role


class NewPassword(OfUser):
    password: Password


async def list_users(call: Call, _asked: Nothing) -> Page[User]:
    return Page(await call.books(users.everyone))


async def show_user(call: Call, asked: OfUser) -> User:
    return await call.books(lambda connection: users.find(connection, asked.name))


async def add_user(call: Call, asked: NewUser) -> Made:
    password_hash = await _hashed(asked.password)
    user = await _changed(
        call,
        asked.name,
        lambda connection: users.add(connection, asked.name, asked.role, password_hash, actor=call.actor),
    )
    return Made(user, HTTPStatus.CREATED, f"{ROOT}/users/{user.name}")


async def set_role(call: Call, asked: NewRole) -> User:
    return await _changed(
        call, asked.name, lambda connection: users.set_role(connection, asked.name, asked.role, actor=call.actor)
    )


async def set_password(call: Call, asked: NewPassword) -> User:
    password_hash = await _hashed(asked.password)
    return await _changed(
        call,
        asked.name,
        lambda connection: users.set_password(connection, asked.name, password_hash, actor=call.actor),
    )


async def disable_user(call: Call, asked: OfUser) -> User:
    return await _changed(call, asked.name, lambda connection: users.disable(connection, asked.name, actor=call.actor))


async def enable_user(call: Call, asked: OfUser) -> User:
    return await _changed(call, asked.name, lambda connection: users.enable(connection, asked.name, actor=call.actor))


async def _hashed(password: SecretStr) -> str:
    """Beside the event loop: it takes some tens of milliseconds. Raises PasswordRefused."""
    return await asyncio.to_thread(hashed, password.get_secret_value())


async def _changed(call: Call, name: str, change: Callable[[Connection], Awaitable[object]]) -> User:
    """The person as the change left them."""

    async def work(connection: Connection) -> User:
        async with connection.transaction():
            await change(connection)
            return await users.find(connection, name)

    return await call.books(work)


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "listUsers",
        "/users",
        "Everybody who may enter the console; on one page.",
        Nothing,
        Listed(User),
        list_users,
        needs=Role.ADMIN,
    ),
    act(
        "addUser",
        "/users",
        "Let somebody in.",
        NewUser,
        Thing(User, (HTTPStatus.CREATED,)),
        add_user,
        refuses=(CONFLICT,),
        needs=Role.ADMIN,
    ),
    read("showUser", "/users/{name}", "One person.", OfUser, Thing(User), show_user, needs=Role.ADMIN),
    act(
        "setUserRole",
        "/users/{name}/role",
        "Give somebody else another role; it counts from their next call or page on.",
        NewRole,
        Thing(User),
        set_role,
        refuses=(CONFLICT,),
        needs=Role.ADMIN,
    ),
    act(
        "setUserPassword",
        "/users/{name}/password",
        "Give somebody another password; whoever is logged in under the name is logged out.",
        NewPassword,
        Thing(User),
        set_password,
        refuses=(),
        needs=Role.ADMIN,
    ),
    act(
        "disableUser",
        "/users/{name}/disable",
        "Keep somebody else out, their tokens too, and log them out.",
        OfUser,
        Thing(User),
        disable_user,
        refuses=(CONFLICT,),
        needs=Role.ADMIN,
    ),
    act(
        "enableUser",
        "/users/{name}/enable",
        "Let somebody in again who was disabled.",
        OfUser,
        Thing(User),
        enable_user,
        refuses=(),
        needs=Role.ADMIN,
    ),
)
