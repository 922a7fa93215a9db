"""The users of the console and their roles. Every change is audited."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from shared.errors import KessaiError
from shared.ledger import audit
from shared.ledger.database import Connection
from shared.ledger.names import NAME
from shared.ledger.roles import Role
from shared.remedies import Remedy


class UserNotFound(KessaiError):
    remedy = Remedy.LIST_USERS

    def __init__(self, name: str) -> None:
        super().__init__(f"no user {name!r}")


class UserExists(KessaiError):
    remedy = Remedy.CHANGE_USER

    def __init__(self, name: str) -> None:
        super().__init__(f"user {name!r} exists already")


class InvalidName(KessaiError):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name[:70]!r} is no name for a user: 1 to 64 letters, digits and . _ @ + -")


class NotYourself(KessaiError):
    """An admin who changes their own role: the last admin could lock everybody out."""

    def __init__(self) -> None:
        super().__init__("another admin must change your own role or disable you: nothing is changed")


@dataclass(frozen=True, slots=True)
class User:
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    last_seen: datetime | None
    """The last use of a session of this user, while one is open."""


async def add(connection: Connection, name: str, role: Role, password_hash: str, *, actor: str) -> None:
    """Raises InvalidName or UserExists."""
    if not NAME.fullmatch(name):
        raise InvalidName(name)
    async with connection.transaction():
        try:
            await connection.execute(
                "INSERT INTO kessai.users (name, role, password_hash) VALUES ($1, $2, $3)", name, role, password_hash
            )
        except asyncpg.UniqueViolationError:
            raise UserExists(name) from None
        await _audit(connection, actor, "user.added", name, to=role)


_USERS: Final = """
SELECT name, role, created_at, disabled_at,
       (SELECT max(seen_at) FROM kessai.sessions WHERE user_name = name AND expires_at > now()) AS last_seen
FROM kessai.users
"""


async def everyone(connection: Connection) -> list[User]:
    return [_user(row) for row in await connection.fetch(f"{_USERS} ORDER BY name")]


async def find(connection: Connection, name: str) -> User:
    """Raises UserNotFound."""
    row = await connection.fetchrow(f"{_USERS} WHERE name = $1", name)
    if row is None:
        raise UserNotFound(name)
    return _user(row)


def _user(row: asyncpg.Record) -> User:
    return User(**{**dict(row), "role": Role(row["role"])})


async def anyone(connection: Connection) -> bool:
    """Whether there are any users."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM kessai.users)"))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login is checked against."""

    role: Role
    password_hash: str
    is_disabled: bool


async def credentials(connection: Connection, name: str) -> Credentials | None:
    row = await connection.fetchrow("SELECT role, password_hash, disabled_at FROM kessai.users WHERE name = $1", name)
    if row is None:
        return None
    return Credentials(Role(row["role"]), row["password_hash"], row["disabled_at"] is not None)


async def set_role(connection: Connection, name: str, role: Role, *, actor: str) -> Role:
    """Change the role from the next request on, and return the role before. Raises UserNotFound, NotYourself."""
    _require_another(name, actor)
    async with connection.transaction():
        before: str | None = await connection.fetchval("SELECT role FROM kessai.users WHERE name = $1 FOR UPDATE", name)
        if before is None:
            raise UserNotFound(name)
        if before != role:
            await connection.execute("UPDATE kessai.users SET role = $2 WHERE name = $1", name, role)
            await _audit(connection, actor, "user.role_set", name, from_=before, to=role)
    return Role(before)


async def set_password(connection: Connection, name: str, password_hash: str, *, actor: str) -> None:
    """Set the password and end all sessions of the user. Raises UserNotFound."""
    async with connection.transaction():
        done = await connection.execute(
            "UPDATE kessai.users SET password_hash = $2 WHERE name = $1", name, password_hash
        )
        if done != "UPDATE 1":
            raise UserNotFound(name)
        await _end_sessions(connection, name)
        await _audit(connection, actor, "user.password_set", name)


async def disable(connection: Connection, name: str, *, actor: str) -> None:
    """Disable a user and end all their sessions. Raises UserNotFound, NotYourself."""
    _require_another(name, actor)
    await _able(connection, name, "user.disabled", "disabled_at = coalesce(disabled_at, now())", actor=actor)


async def enable(connection: Connection, name: str, *, actor: str) -> None:
    """Raises UserNotFound."""
    await _able(connection, name, "user.enabled", "disabled_at = NULL", actor=actor)


async def _able(connection: Connection, name: str, action: str, change: str, *, actor: str) -> None:
    async with connection.transaction():
        if await connection.execute(f"UPDATE kessai.users SET {change} WHERE name = $1", name) != "UPDATE 1":
            raise UserNotFound(name)
        await _end_sessions(connection, name)
        await _audit(connection, actor, action, name)


def _require_another(name: str, actor: str) -> None:
    if actor == subject(name):
        raise NotYourself


def subject(name: str) -> str:
    """The name of a user in the audit, as actor and as subject."""
    return f"user:{name}"


async def _end_sessions(connection: Connection, name: str) -> None:
    await connection.execute("DELETE FROM kessai.sessions WHERE user_name = $1", name)


async def _audit(
    connection: Connection, actor: str, action: str, name: str, *, from_: str | None = None, to: str | None = None
) -> None:
    await audit.record(connection, actor=actor, action=action, subject=subject(name), from_state=from_, to_state=to)
