"""The tokens of the admin API. The books keep only the SHA-256 of a token."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.errors import KessaiError
from shared.ledger import audit
from shared.ledger.bearer_tokens import USED_EVERY, digest, fresh
from shared.ledger.database import Connection
from shared.ledger.names import NAME
from shared.ledger.roles import Role
from shared.ledger.users import UserNotFound
from shared.remedies import Remedy


class InvalidLabel(KessaiError):
    def __init__(self, label: str) -> None:
        super().__init__(f"{label[:70]!r} is no label for a token: 1 to 64 letters, digits and . _ @ + -")


class LabelTaken(KessaiError):
    remedy = Remedy.REVOKE_TOKEN

    def __init__(self, name: str, label: str) -> None:
        super().__init__(f"{name} has a token {label!r} already")


class TokenNotFound(KessaiError):
    remedy = Remedy.LIST_TOKENS

    def __init__(self, name: str, label: str) -> None:
        super().__init__(f"{name[:64]!r} has no token {label[:64]!r}")


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What the books know of a token; they cannot restore the token itself."""

    user_name: str
    label: str
    role: Role
    """The role of its user now."""
    created_at: datetime
    used_at: datetime | None
    """The last use, to the minute."""
    expires_at: datetime | None
    """None: it never expires."""
    is_live: bool
    """Whether a call with it is admitted."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The user of a token."""

    name: str
    role: Role
    """The role now, which may differ from that when the token was made."""
    label: str


async def add(connection: Connection, name: str, label: str, *, lifetime: timedelta | None = None, actor: str) -> str:
    """A new token; the books keep only its digest. Raises InvalidLabel, UserNotFound, LabelTaken."""
    if not NAME.fullmatch(label):
        raise InvalidLabel(label)
    token = fresh()
    async with connection.transaction():
        await _lock_user(connection, name)
        if await connection.fetchval(
            "SELECT EXISTS (SELECT FROM kessai.api_tokens WHERE user_name = $1 AND label = $2)", name, label
        ):
            raise LabelTaken(name, label)
        expires_at: datetime | None = await connection.fetchval(
            """
            INSERT INTO kessai.api_tokens (token_digest, label, user_name, expires_at)
            VALUES ($1, $2, $3, now() + $4::interval)
            RETURNING expires_at
            """,
            digest(token),
            label,
            name,
            lifetime,
        )
        await audit.record(
            connection,
            actor=actor,
            action="token.added",
            subject=subject(name, label),
            detail={"expires_at": expires_at},
        )
    return token


async def revoke(connection: Connection, name: str, label: str, *, actor: str) -> None:
    """Revoke a token at once. Raises TokenNotFound."""
    async with connection.transaction():
        gone = await connection.fetch(
            "DELETE FROM kessai.api_tokens WHERE user_name = $1 AND label = $2 RETURNING label", name, label
        )
        if not gone:
            raise TokenNotFound(name, label)
        await audit.record(connection, actor=actor, action="token.revoked", subject=subject(name, label))


async def everyone(connection: Connection) -> list[ApiToken]:
    """All tokens that were not revoked, by user."""
    rows = await connection.fetch(
        """
        SELECT user_name, label, role, api_tokens.created_at, used_at, expires_at,
               disabled_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS is_live
        FROM kessai.api_tokens
        JOIN kessai.users ON name = user_name
        ORDER BY user_name, label
        """
    )
    return [ApiToken(**{**dict(row), "role": Role(row["role"])}) for row in rows]


async def held(connection: Connection, digests: Collection[bytes]) -> set[bytes]:
    """Those of the digests that belong to tokens which were not revoked."""
    rows = await connection.fetch(
        "SELECT token_digest FROM kessai.api_tokens WHERE token_digest = ANY ($1::bytea[])", digests
    )
    return {row["token_digest"] for row in rows}


async def holder_of(connection: Connection, token: str) -> Holder | None:
    """The user of a token; None when it is unknown, revoked or expired, or the user is disabled."""
    row = await connection.fetchrow(
        """
        SELECT name, role, label, coalesce(now() - used_at > $2::interval, true) AS is_stale
        FROM kessai.api_tokens
        JOIN kessai.users ON name = user_name
        WHERE token_digest = $1 AND (expires_at IS NULL OR expires_at > now()) AND disabled_at IS NULL
        """,
        digest(token),
        USED_EVERY,
    )
    if row is None:
        return None
    if row["is_stale"]:
        await connection.execute("UPDATE kessai.api_tokens SET used_at = now() WHERE token_digest = $1", digest(token))
    return Holder(row["name"], Role(row["role"]), row["label"])


def subject(name: str, label: str) -> str:
    """The name of a token in the audit."""
    return f"token:{name}/{label}"


async def _lock_user(connection: Connection, name: str) -> None:
    """Lock a user, so that two tokens with the same label cannot be added at once. Raises UserNotFound."""
    if await connection.fetchrow("SELECT FROM kessai.users WHERE name = $1 FOR NO KEY UPDATE", name) is None:
        raise UserNotFound(name)
