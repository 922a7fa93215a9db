"""What does Siglume know of an endpoint? Its merchant, the token for calls to Siglume, and its webhook URL."""

from dataclasses import dataclass, field, replace
from typing import Final, Self

from pydantic import SecretStr

from shared.endpoint_tables import EndpointTable
from shared.errors import KessaiError, SettingsError
from shared.sdrp.api.access import Access

MERCHANT_TOKEN: Final = "merchant_auth_token_file"  # noqa: S105 - the name of a setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The merchant's settings, unchecked; None for a value that is not set."""

    endpoint: str
    is_sandbox: bool
    base_url: str
    merchant: str | None = None
    token: SecretStr | None = field(default=None, repr=False)
    token_named_by: str = "SIGLUME_MERCHANT_AUTH_TOKEN"  # noqa: S105 - the name of a setting
    origin: str | None = None
    """The origin of the shop, to which buyers return."""
    webhook_url: str | None = None
    """The URL to which Siglume sends webhooks of the endpoint."""

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
        """The same with these values instead, where they are not None."""
        return replace(
            self,
            merchant=self.merchant if merchant is None else merchant,
            origin=self.origin if origin is None else origin,
            webhook_url=self.webhook_url if webhook_url is None else webhook_url,
        )

    def without_token(self, table: EndpointTable) -> Self:
        """The same without a token, which the table may name."""
        return replace(self, token=None, token_named_by=table.named(MERCHANT_TOKEN))

    def of_table(self, table: EndpointTable) -> Self:
        """The same with the values of the endpoint's table in the TOML file. Raises SettingsError."""
        changed = replace(self, endpoint=table.name).stating(
            merchant=table.text("merchant"),
            origin=next(iter(table.origins or ()), None),
            webhook_url=table.text("webhook_url"),
        )
        return changed.with_token_of(table) or changed

    def with_token_of(self, table: EndpointTable, key: str = MERCHANT_TOKEN) -> Self | None:
        """The same with the token of the file that the table names; None when it names none. Raises SettingsError."""
        token = table.secret_of(key)
        return None if token is None else replace(self, token=token, token_named_by=table.named(key))
