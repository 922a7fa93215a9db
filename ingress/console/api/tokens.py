"""The tokens of the API, for admins."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field

from ingress.api.inputs import Input, Nothing, Text
from ingress.api.operation import Listed, Thing
from ingress.api.problems import CONFLICT, NOT_FOUND
from ingress.console.api.call import Call, Page
from ingress.console.api.operation import AnyOperation, act, read
from shared.ledger import api_tokens
from shared.ledger.api_tokens import ApiToken
from shared.ledger.database import Connection
from shared.ledger.names import NAME
from shared.ledger.roles import Role


class NewToken(Input):
    user_name: Annotated[Text, Field(description="Whom it speaks for.")]
    label: Annotated[str, Field(pattern=f"^{NAME.pattern}$", description="What it is for.")]
    days: Annotated[
        int | None, Field(ge=1, le=36500, description="Days after which it expires; without them it never does.")
    ] = None


class OfToken(Input):
    user_name: Text
    label: Text


@dataclass(frozen=True, slots=True)
class GivenToken:
    """A new token. This answer is the only one that holds it: the books keep only its digest."""

    user_name: str
    label: str
    token: str


@dataclass(frozen=True, slots=True)
class RevokedToken:
    """A token that was revoked."""

    user_name: str
    label: str


async def list_tokens(call: Call, _params: Nothing) -> Page[ApiToken]:
    return Page(await call.books(api_tokens.everyone))


async def add_token(call: Call, params: NewToken) -> GivenToken:
    lifetime = None if params.days is None else timedelta(days=params.days)

    async def work(connection: Connection) -> str:
        return await api_tokens.add(connection, params.user_name, params.label, lifetime=lifetime, actor=call.actor)

    return GivenToken(params.user_name, params.label, await call.books(work))


async def revoke_token(call: Call, params: OfToken) -> RevokedToken:
    await call.books(lambda connection: api_tokens.revoke(connection, params.user_name, params.label, actor=call.actor))
    return RevokedToken(params.user_name, params.label)


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "listTokens",
        "/tokens",
        "Every token that was not revoked, and when each was last used; on one page.",
        Nothing,
        Listed(ApiToken),
        list_tokens,
        needs=Role.ADMIN,
    ),
    act(
        "addToken",
        "/tokens",
        "Make a token; only this answer holds it. It may do what its user may, until the user is disabled.",
        NewToken,
        Thing(GivenToken),
        add_token,
        refuses=(NOT_FOUND, CONFLICT),
        needs=Role.ADMIN,
    ),
    act(
        "revokeToken",
        "/tokens/{user_name}/{label}/revoke",
        "Make a token worthless, now and for good.",
        OfToken,
        Thing(RevokedToken),
        revoke_token,
        refuses=(),
        needs=Role.ADMIN,
    ),
)
