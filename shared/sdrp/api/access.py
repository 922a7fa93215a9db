"""Which platform is called, and with which token?"""

import re
from dataclasses import dataclass
from typing import Self

from pydantic import SecretStr

from shared.sdrp.api import urls
from shared.sdrp.api.errors import InvalidCall

_TOKEN = re.compile(r"[!-~]{1,8192}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Access:
    """A base URL and the bearer token of a merchant, a provider or a buyer. The token is never shown."""

    base_url: str
    token: SecretStr

    @classmethod
    def of(cls, token: str, *, base_url: str = urls.PRODUCTION, named_by: str = "the Siglume token") -> Self:
        """Raises InvalidCall for an impossible token, or a base URL that would expose the token."""
        return cls(urls.base_url(base_url), SecretStr(bearer(token, named_by)))


def bearer(token: str, name: str) -> str:
    """The token, checked for use in a header. Raises InvalidCall."""
    text = token.strip()
    if not text:
        raise InvalidCall(f"{name} is blank: set a bearer token of a Siglume user")
    if text.startswith("cli_"):
        raise InvalidCall(f"{name} is a Developer Portal key (cli_...): set a bearer token of a Siglume user")
    if not _TOKEN.fullmatch(text):
        raise InvalidCall(f"{name} must be printable ASCII without blanks: copy it again")
    return text


def default_base_url(*, api_base: str | None, environment: str | None, sandbox_base: str | None) -> str:
    """What SIGLUME_API_BASE, SIGLUME_ENV and SIGLUME_SANDBOX_API_BASE say together, as the official SDK reads them."""
    if given := (api_base or "").strip():
        return given
    if (environment or "").strip().lower() == "sandbox":
        return (sandbox_base or "").strip() or urls.SANDBOX
    return urls.PRODUCTION
