"""The users and their roles, for admins."""

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


async def list_users(call: Call, _params: Nothing) -> Page[User]:
    return Page(await call.books(users.everyone))


async def show_user(call: Call, params: OfUser) -> User:
    return await call.books(lambda connection: users.find(connection, params.name))


async def add_user(call: Call, params: NewUser) -> Made:
    password_hash = await _hashed(params.password)
    user = await _changed(
        call,
        params.name,
        lambda connection: users.add(connection, params.name, params.role, password_hash, actor=call.actor),
    )
    return Made(user, HTTPStatus.CREATED, f"{ROOT}/users/{user.name}")


async def set_role(call: Call, params: NewRole) -> User:
    return await _changed(
        call, params.name, lambda connection: users.set_role(connection, params.name, params.role, actor=call.actor)
    )


async def set_password(call: Call, params: NewPassword) -> User:
    password_hash = await _hashed(params.password)
    return await _changed(
        call,
        params.name,
        lambda connection: users.set_password(connection, params.name, password_hash, actor=call.actor),
    )


async def disable_user(call: Call, params: OfUser) -> User:
    return await _changed(
        call, params.name, lambda connection: users.disable(connection, params.name, actor=call.actor)
    )


async def enable_user(call: Call, params: OfUser) -> User:
    return await _changed(call, params.name, lambda connection: users.enable(connection, params.name, actor=call.actor))


async def _hashed(password: SecretStr) -> str:
    """Hash a password in a thread, because it takes some tens of milliseconds. Raises PasswordRefused."""
    return await asyncio.to_thread(hashed, password.get_secret_value())


async def _changed(call: Call, name: str, change: Callable[[Connection], Awaitable[object]]) -> User:
    """Change a user, and return the user after the change."""

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
        "Set the password of a user and end their sessions.",
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
