"""Which of a merchant's own systems may start payments, and of which endpoint's orders?

A client is no person: its token opens the checkout API alone, and there its own endpoint alone.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from shared.errors import KessaiError
from shared.ledger import audit
from shared.ledger.bearer_tokens import USED_EVERY, digest, fresh
from shared.ledger.database import Connection
from shared.ledger.names import NAME
from shared.remedies import Remedy


class InvalidClientName(KessaiError):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name[:70]!r} is no name for a client: 1 to 64 letters, digits and . _ @ + -")


class ClientExists(KessaiError):
    remedy = Remedy.REVOKE_CLIENT

    def __init__(self, name: str) -> None:
        super().__init__(f"client {name!r} has a token already")


class ClientNotFound(KessaiError):
    remedy = Remedy.LIST_CLIENTS

    def __init__(self, name: str) -> None:
        super().__init__(f"no client {name[:64]!r}")


@dataclass(frozen=True, slots=True)
class CheckoutClient:
    """What is known of a client; its token nobody can tell any more."""

    name: str
    endpoint: str
    created_at: datetime
    used_at: datetime | None
    """To the minute."""
    expires_at: datetime | None
    """None: only when it is revoked."""
    is_live: bool


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls."""

    name: str
    endpoint: str

    @property
    def actor(self) -> str:
        """As the audit names it."""
        return subject(self.name)


async def add(
    connection: Connection, name: str, endpoint: str, *, lifetime: timedelta | None = None, actor: str
) -> str:
    """A fresh token, told this once. Raises InvalidClientName, ClientExists."""
    if not NAME.fullmatch(name):
        raise InvalidClientName(name)
    token = fresh()
    async with connection.transaction():
        try:
            expires_at: datetime | None = await connection.fetchval(
                """
                INSERT INTO kessai.checkout_clients (name, endpoint, token_digest, expires_at)
                VALUES ($1, $2, $3, now() + $4::interval)
                RETURNING expires_at
                """,
                *(name, endpoint, digest(token), lifetime),
            )
        except asyncpg.UniqueViolationError:
            raise ClientExists(name) from None
        await audit.record(
            connection,
            actor=actor,
            action="checkout_client.added",
            subject=subject(name),
            endpoint=endpoint,
            detail={"expires_at": expires_at},
        )
    return token


async def revoke(connection: Connection, name: str, *, actor: str) -> None:
    """The client's token lets nobody in from now on. Raises ClientNotFound."""
    async with connection.transaction():
        endpoint: str | None = await connection.fetchval(
            "DELETE FROM kessai.checkout_clients WHERE name = $1 RETURNING endpoint", name
        )
        if endpoint is None:
            raise ClientNotFound(name)
        await audit.record(
            connection, actor=actor, action="checkout_client.revoked", subject=subject(name), endpoint=endpoint
        )


async def everyone(connection: Connection) -> list[CheckoutClient]:
    """Every client whose token was not revoked."""
    rows = await connection.fetch(
        """
        SELECT name, endpoint, created_at, used_at, expires_at,
               expires_at IS NULL OR expires_at > now() AS is_live
        FROM kessai.checkout_clients
        ORDER BY name
        """
    )
    return [CheckoutClient(**dict(row)) for row in rows]


async def held(connection: Connection, digests: Collection[bytes]) -> set[bytes]:
    """Those of tokens that were given out and not revoked."""
    rows = await connection.fetch(
        "SELECT token_digest FROM kessai.checkout_clients WHERE token_digest = ANY ($1::bytea[])", digests
    )
    return {row["token_digest"] for row in rows}


async def client_of(connection: Connection, token: str) -> Client | None:
    """None when the token is unknown, revoked or expired."""
    row = await connection.fetchrow(
        """
        SELECT name, endpoint, coalesce(now() - used_at > $2::interval, true) AS is_stale
        FROM kessai.checkout_clients
        WHERE token_digest = $1 AND (expires_at IS NULL OR expires_at > now())
        """,
        *(digest(token), USED_EVERY),
    )
    if row is None:
        return None
    if row["is_stale"]:
        await connection.execute(
            "UPDATE kessai.checkout_clients SET used_at = now() WHERE token_digest = $1", digest(token)
        )
    return Client(row["name"], row["endpoint"])


def subject(name: str) -> str:
    """As the audit names a client, acting or acted on."""
    return f"checkout:{name}"
