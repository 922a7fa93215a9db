"""Who asks? Whoever holds a bearer token; every token but a developer key is somebody's."""

from deploy.sandbox.core.refusal import Refused
from deploy.sandbox.core.wire import short


def user_of(token: str) -> str:
    """The id of the user whose token it is."""
    return f"usr_{short('user', token)}"


def caller(authorization: str | None) -> str:
    """The user who sends that header. Raises Refused."""
    return user_of(bearer(authorization))


def bearer(authorization: str | None) -> str:
    """The token in that header. Raises Refused."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Refused(401, "AUTHENTICATION_REQUIRED", "send Authorization: Bearer with a Siglume user token")
    if token.startswith("cli_"):
        raise Refused(403, "CLI_KEY_NOT_ACCEPTED", "a developer key (cli_...) is no user token")
    return token
