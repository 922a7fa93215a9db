"""What is an endpoint at Siglume? Whose it is, with which token Siglume is asked, and where its webhooks go."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from shared.endpoint_tables import read_secret_file
from shared.errors import KessaiError, SettingsError
from shared.sdrp.api.access import Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """As the merchant stated it, unchecked; None for what was not stated."""

    endpoint: str
    is_sandbox: bool
    base_url: str
    merchant: str | None = None
    token: SecretStr | None = field(default=None, repr=False)
    token_named_by: str = "SIGLUME_MERCHANT_AUTH_TOKEN"  # noqa: S105 - the name of a setting
    origin: str | None = None
    """Of the shop: buyers come back to it."""
    webhook_url: str | None = None
    """How Siglume reaches the endpoint."""

    @property
    def has_token(self) -> bool:
        return self.token is not None and bool(self.token.get_secret_value().strip())

    def access(self) -> Access:
        """Raises SettingsError."""
        if self.token is None or not self.has_token:
            raise SettingsError(f"{self.token_named_by} is not set: set the bearer token of a Siglume user")
        try:
            return Access.of(self.token.get_secret_value(), base_url=self.base_url, named_by=self.token_named_by)
        except KessaiError as error:
            raise SettingsError(str(error)) from None

    def stating(
        self, *, merchant: str | None = None, origin: str | None = None, webhook_url: str | None = None
    ) -> Self:
        """The same with what is given here instead."""
        return replace(
            self,
            merchant=self.merchant if merchant is None else merchant,
            origin=self.origin if origin is None else origin,
            webhook_url=self.webhook_url if webhook_url is None else webhook_url,
        )

    def of_table(self, name: str, table: Mapping[str, object], where: str, *, beside: Path) -> Self:
        """What an endpoint's table in the TOML file states instead. Raises SettingsError."""
        origins = table.get("origins", [])
        if not isinstance(origins, list):
            raise SettingsError(f"{where}: origins must be a list")
        changed = replace(self, endpoint=name).stating(
            merchant=_text(table, "merchant", where),
            origin=str(origins[0]) if origins else None,
            webhook_url=_text(table, "webhook_url", where),
        )
        return changed.with_token_of(table, "merchant_auth_token_file", where, beside=beside) or changed

    def with_token_of(self, table: Mapping[str, object], key: str, where: str, *, beside: Path) -> Self | None:
        """The same with the token of the file that the table names; None when it names none. Raises SettingsError."""
        file, named_by = _text(table, key, where), f"{where}: {key}"
        if file is None:
            return None
        return replace(self, token=SecretStr(read_secret_file(beside / file, named_by)), token_named_by=named_by)


def _text(table: Mapping[str, object], key: str, where: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise SettingsError(f"{where}: {key} must be text")
    return value
