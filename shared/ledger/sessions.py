"""The sessions of the console. The books keep only the SHA-256 of a session token."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from shared.ledger import audit
from shared.ledger.bearer_tokens import digest
from shared.ledger.database import Connection
from shared.ledger.roles import Role

TOKEN_BYTES = 32
SEEN_EVERY = timedelta(minutes=1)
"""The precision of the last use of a session, so that most pages cost no write."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a session lasts."""

    absolute: timedelta = timedelta(hours=12)
    """The longest session: a working shift."""
    idle: timedelta = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Holder:
    name: str
    role: Role
    """The role now, which may differ from that at the login."""


async def begin(connection: Connection, name: str, *, terms: Terms, before: str | None) -> str:
    """Begin a session and return its random token. The session `before` ends, against session fixation."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    async with connection.transaction():
        await connection.execute("DELETE FROM kessai.sessions WHERE expires_at < now()")
        if before is not None:
            await connection.execute("DELETE FROM kessai.sessions WHERE token_digest = $1", digest(before))
        await connection.execute(
            "INSERT INTO kessai.sessions (token_digest, user_name, expires_at) VALUES ($1, $2, now() + $3)",
            digest(token),
            name,
            terms.absolute,
        )
        await _audit(connection, name, "session.began")
    return token


async def holder_of(connection: Connection, token: str, *, terms: Terms) -> Holder | None:
    """The user of a session; None when it is over or unknown, or the user is disabled."""
    row = await connection.fetchrow(
        """
        SELECT name, role, now() - seen_at > $3 AS is_stale
        FROM kessai.sessions
        JOIN kessai.users ON name = user_name
        WHERE token_digest = $1 AND expires_at > now() AND seen_at > now() - $2::interval AND disabled_at IS NULL
        """,
        digest(token),
        terms.idle,
        SEEN_EVERY,
    )
    if row is None:
        return None
    if row["is_stale"]:
        await connection.execute("UPDATE kessai.sessions SET seen_at = now() WHERE token_digest = $1", digest(token))
    return Holder(row["name"], Role(row["role"]))


async def end(connection: Connection, token: str) -> None:
    async with connection.transaction():
        name: str | None = await connection.fetchval(
            "DELETE FROM kessai.sessions WHERE token_digest = $1 RETURNING user_name", digest(token)
        )
        if name is not None:
            await _audit(connection, name, "session.ended")


async def _audit(connection: Connection, name: str, action: str) -> None:
    person = f"user:{name}"
    await audit.record(connection, actor=person, action=action, subject=person)
