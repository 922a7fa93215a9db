"""The configuration: the environment, secret files, and a TOML file for several endpoints.

`Settings.from_env()` is the only place that reads the environment; everything else gets what it needs as arguments.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, Self

from pydantic import AliasChoices, Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from yarl import URL

from shared.checkout_terms import CheckoutTerms, terms_of, terms_of_default
from shared.endpoint_tables import keys_of, keys_of_lines, merchant_key, read_secret_file, shop_of, tables
from shared.endpoints import DEFAULT_ENDPOINT, Endpoint
from shared.errors import NoSecret, SettingsError
from shared.ledger.books import Shop
from shared.ledger.roles import Role
from shared.ledger.suggestions import ReviewPolicy
from shared.ledger.sweep_rules import SweepPolicy
from shared.registrations import Registration
from shared.sdrp.api.access import Access, default_base_url
from shared.server_urls import database_address, require_url
from shared.setting_names import unknown_settings

SECRET_NAMES = (
    "KESSAI_DATABASE_URL",
    "KESSAI_AMQP_URL",
    "SIGLUME_WEBHOOK_SECRET",
    "SIGLUME_MERCHANT_AUTH_TOKEN",
    "SIGLUME_AUTH_TOKEN",
    "SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET",
)
"""Each may be given as `<NAME>_FILE` instead: the path of a file that holds the value."""


class TopologyMode(StrEnum):
    DECLARE = "declare"
    VERIFY = "verify"


class Settings(BaseSettings):
    """All settings; a field without an alias is the environment variable of its name with the prefix KESSAI_."""

    model_config = SettingsConfigDict(env_prefix="KESSAI_", frozen=True, extra="ignore")

    database_url: SecretStr | None = None
    amqp_url: SecretStr | None = None
    config: Path | None = None
    """A TOML file with one `[endpoints.<name>]` table a shop."""
    webhook_secret: SecretStr | None = Field(None, validation_alias=AliasChoices("SIGLUME_WEBHOOK_SECRET"))
    webhook_secret_file: Path | None = Field(None, validation_alias=AliasChoices("SIGLUME_WEBHOOK_SECRET_FILE"))
    """The file that `webhook_secret` comes from; it may hold several secrets, one a line."""
    merchant: str | None = Field(None, validation_alias=AliasChoices("SIGLUME_DIRECT_PAYMENT_MERCHANT"))
    allow_metered_payments: bool = False
    merchant_auth_token: SecretStr | None = Field(None, validation_alias=AliasChoices("SIGLUME_MERCHANT_AUTH_TOKEN"))
    auth_token: SecretStr | None = Field(None, validation_alias=AliasChoices("SIGLUME_AUTH_TOKEN"))
    """The token of a provider or a buyer; also that of the merchant, where no other is given."""
    api_base: str | None = Field(None, validation_alias=AliasChoices("SIGLUME_API_BASE"))
    platform: str | None = Field(None, validation_alias=AliasChoices("SIGLUME_ENV"))
    """`sandbox`; any other value, or none, is the real platform."""
    sandbox_api_base: str | None = Field(None, validation_alias=AliasChoices("SIGLUME_SANDBOX_API_BASE"))
    shop_webhook_url: str | None = Field(None, validation_alias=AliasChoices("SHOP_WEBHOOK_URL"))
    """The URL to which Siglume sends webhooks of the default endpoint."""

    challenge_secret: SecretStr | None = Field(
        None, validation_alias=AliasChoices("SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET")
    )
    shop_origin: str | None = Field(None, validation_alias=AliasChoices("SHOP_PUBLIC_ORIGIN"))
    """The origin to which buyers may return."""
    checkout_success_url: str | None = None
    """The page after a payment, when a call does not name one."""
    checkout_cancel_url: str | None = None
    checkout_deadline: float = Field(15.0, ge=1, le=300)
    """Seconds that a call of the checkout API may take, including the calls to Siglume."""

    max_body: int = Field(256 * 1024, ge=1, le=16 * 1024 * 1024)
    """Bytes of a webhook body."""
    body_deadline: float = Field(10.0, ge=0.1, le=300)
    """Seconds that a sender may take to send a request."""
    max_connections: int = Field(4096, ge=1)
    publish_timeout: float = Field(5.0, ge=0.1, le=300)
    """Seconds to wait for RabbitMQ's confirm before answering 503."""
    max_in_flight: int = Field(2048, ge=1)
    """Publishes that may wait for their confirm at once; beyond that number the ingress answers 503."""
    drain_timeout: float = Field(20.0, ge=0.1, le=3600)
    """Seconds that a process may take after SIGTERM to finish open work."""

    review_approvals: int = Field(1, ge=1, le=2)
    """How many people must agree to a decision that moves money."""
    exposure_warning: Decimal = Field(Decimal("0.8"), gt=0, le=1)
    """The share of a buyer's threshold from which people are warned."""

    sweep_after: float = Field(1800.0, ge=60, le=30 * 86400)
    """Seconds after which the session of a pending order is checked: its webhook may never have come."""
    sweep_policy: SweepPolicy = SweepPolicy.REVIEW
    """Whether an order may take a payment whose webhook is missing, when everything fits."""
    sweep_per_minute: int = Field(120, ge=1, le=6000)
    """The most sessions of an endpoint that are checked in a minute."""

    review_policy: ReviewPolicy = ReviewPolicy.SUGGEST
    """What the platform's evidence does to a review that it settles."""

    batch_size: int = Field(500, ge=1, le=1000)
    """The most events that a worker applies in one transaction."""
    database_pool: int = Field(8, ge=1)
    statement_timeout: float = Field(30.0, ge=0.1, le=3600)
    """Seconds, enforced by Postgres."""
    keep_raw_days: int | None = Field(None, ge=1, le=36500)
    """Days after which workers delete raw bytes, by whole months; None keeps them for ever."""
    keep_claims_days: int = Field(800, ge=30, le=36500)
    """Days after which workers that delete raw bytes also delete the claims of event ids."""
    topology: TopologyMode = TopologyMode.DECLARE
    reconcile_every: float = Field(3600.0, ge=1, le=7 * 86400)
    """Seconds from one reading of the platform's statements to the next."""

    console_origin: str | None = None
    """The origin of the console in browsers, as in https://kessai.example.com; None for the address it listens on."""
    console_proxies: str = ""
    """Addresses or networks, separated by commas, whose X-Forwarded-User and X-Forwarded-Groups are trusted."""
    console_tls_proxies: str = ""
    """Addresses or networks, separated by commas, of which only X-Forwarded-For is trusted: for the address of a
    client, not for its identity. They need `console_origin`, which says that cookies are for https alone."""
    console_groups: str = "kessai-viewer=viewer,kessai-operator=operator,kessai-admin=admin"
    """The role of each group that such a proxy may name."""

    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    _unknown: tuple[str, ...] = PrivateAttr(())

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment, `<NAME>_FILE` included. Raises SettingsError with one line for each thing wrong."""
        source = os.environ if environ is None else environ
        try:
            return cls.model_validate(_by_field(cls, _with_files(source))).noting(_unknown(cls, source))
        except ValidationError as error:
            lines = [f"{_variable(cls, str(e['loc'][0]))}: {e['msg']}" for e in error.errors(include_input=False)]
            raise SettingsError("; ".join(lines)) from None

    def noting(self, unknown: tuple[str, ...]) -> Self:
        """The same settings with the names that were not read."""
        self._unknown = unknown
        return self

    @property
    def unknown(self) -> tuple[str, ...]:
        """A sentence for each variable that looks like a setting and is none."""
        return self._unknown

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: object, **__: object
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `from_env` passes: pydantic must not read the environment a second time."""
        return (init_settings,)

    def require_database_url(self) -> str:
        """Raises SettingsError, also for parameters that only one of the drivers would take."""
        url = require_url(self.database_url, "KESSAI_DATABASE_URL", schemes=("postgresql", "postgres"))
        database_address(url)
        return url

    def require_amqp_url(self) -> str:
        return require_url(self.amqp_url, "KESSAI_AMQP_URL", schemes=("amqp", "amqps"))

    def merchant_access(self) -> Access:
        """To call the platform as the merchant. Raises SettingsError."""
        return self._platform().access()

    def user_access(self) -> Access:
        """To call the platform as the provider or the buyer whose token it is. Raises SettingsError."""
        named_by = "SIGLUME_AUTH_TOKEN"
        return replace(self._platform(), token=self.auth_token, token_named_by=named_by).access()

    def registrations(self, *, platform: str | None = None, api_base: str | None = None) -> dict[str, Registration]:
        """The registration of each endpoint; `platform` and `api_base` override the environment.

        The environment has the values of the default endpoint, including its token: another endpoint has the token that
        its own table names, or none. Raises SettingsError.
        """
        shared = self._platform(platform=platform, api_base=api_base)
        default = replace(shared, merchant=self.merchant, origin=self.shop_origin, webhook_url=self.shop_webhook_url)
        return {DEFAULT_ENDPOINT: default} | {
            table.name: (default if table.name == DEFAULT_ENDPOINT else shared.without_token(table)).of_table(table)
            for table in tables(self.config)
        }

    def _platform(self, *, platform: str | None = None, api_base: str | None = None) -> Registration:
        """The platform of every endpoint, with the environment's token."""
        environment = platform or self.platform
        own = self.merchant_auth_token
        named = own is not None and own.get_secret_value().strip()
        is_other_named = self.auth_token is not None and self.auth_token.get_secret_value().strip()
        return Registration(
            endpoint=DEFAULT_ENDPOINT,
            is_sandbox=(environment or "").strip().lower() == "sandbox",
            base_url=default_base_url(
                api_base=api_base or self.api_base, environment=environment, sandbox_base=self.sandbox_api_base
            ),
            token=own if named else self.auth_token,
            token_named_by="SIGLUME_AUTH_TOKEN" if is_other_named and not named else "SIGLUME_MERCHANT_AUTH_TOKEN",
        )

    def checkouts(self) -> dict[str, CheckoutTerms]:
        """The terms of starting payments, by endpoint. Raises SettingsError."""
        accesses = {name: known.access() if known.has_token else None for name, known in self.registrations().items()}
        default = terms_of_default(
            access=accesses[DEFAULT_ENDPOINT],
            challenge_secret=self.challenge_secret,
            origin=self.shop_origin,
            success_url=self.checkout_success_url,
            cancel_url=self.checkout_cancel_url,
        )
        found = {DEFAULT_ENDPOINT: default}
        for table in tables(self.config):
            usual = default if table.name == DEFAULT_ENDPOINT else CheckoutTerms()
            found[table.name] = terms_of(table, access=accesses[table.name], default=usual)
        return found

    def origin_of_console(self) -> URL | None:
        """Raises SettingsError."""
        if self.console_origin is None or not self.console_origin.strip():
            return None
        try:
            origin = URL(self.console_origin.strip())
        except ValueError:
            origin = URL()
        if origin.scheme not in {"http", "https"} or not origin.host or origin.path != "/" or origin.query_string:
            raise SettingsError("KESSAI_CONSOLE_ORIGIN must be scheme and host, as in https://kessai.example.com")
        return origin

    def believed_proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Raises SettingsError."""
        if self.console_proxies.strip() and not self.console_origin:
            raise SettingsError(
                "KESSAI_CONSOLE_PROXIES needs KESSAI_CONSOLE_ORIGIN: without the console's name a page of another site "
                "could reach it through a browser behind the proxy"
            )
        return _networks(self.console_proxies, "KESSAI_CONSOLE_PROXIES")

    def tls_proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Raises SettingsError."""
        origin = self.origin_of_console()
        if self.console_tls_proxies.strip() and (origin is None or origin.scheme != "https"):
            raise SettingsError(
                "KESSAI_CONSOLE_TLS_PROXIES needs KESSAI_CONSOLE_ORIGIN with https, as in https://kessai.example.com: "
                "without it a browser would also send the session cookie over plain http"
            )
        return _networks(self.console_tls_proxies, "KESSAI_CONSOLE_TLS_PROXIES")

    def roles_of_groups(self) -> dict[str, Role]:
        """Raises SettingsError."""
        pairs = [pair.rpartition("=") for pair in self.console_groups.split(",") if pair.strip()]
        try:
            roles = {group.strip(): Role(role.strip()) for group, _, role in pairs}
        except ValueError as error:
            raise SettingsError(f"KESSAI_CONSOLE_GROUPS must be group=role pairs: {error}") from None
        if "" in roles:
            raise SettingsError("KESSAI_CONSOLE_GROUPS must be group=role pairs, as in sre=operator,leads=admin")
        return roles

    def endpoints(self) -> dict[str, Endpoint]:
        """Every endpoint by name: the default one from the environment, the others from the TOML file.

        Raises SettingsError when a secret is missing, blank or unreadable: a blank secret would verify anything that
        anyone signs with an empty key.
        """
        endpoints = {table.name: Endpoint(table.name, keys_of(table)) for table in tables(self.config)}
        if self.webhook_secret is not None:
            named_by = "SIGLUME_WEBHOOK_SECRET_FILE" if self.webhook_secret_file else "SIGLUME_WEBHOOK_SECRET"
            if DEFAULT_ENDPOINT in endpoints:
                given_twice = f"[endpoints.{DEFAULT_ENDPOINT}] of {self.config}"
                raise SettingsError(f"both {named_by} and {given_twice} are given: keep one")
            keys = keys_of_lines(self.webhook_secret.get_secret_value(), self.webhook_secret_file, named_by=named_by)
            endpoints[DEFAULT_ENDPOINT] = Endpoint(DEFAULT_ENDPOINT, keys)
        if not endpoints:
            raise NoSecret(
                "no webhook secret: set SIGLUME_WEBHOOK_SECRET (or SIGLUME_WEBHOOK_SECRET_FILE), "
                "or name endpoints in the TOML file of KESSAI_CONFIG"
            )
        return endpoints

    def shops(self) -> dict[str, Shop]:
        """The policy of each endpoint; it needs no secret, so that workers hold none."""
        merchant = self.merchant if self.merchant and self.merchant.strip() else None
        default = Shop(merchant_key(merchant, "SIGLUME_DIRECT_PAYMENT_MERCHANT"), self.allow_metered_payments)
        return {DEFAULT_ENDPOINT: default} | {
            table.name: shop_of(table, default=default if table.name == DEFAULT_ENDPOINT else Shop())
            for table in tables(self.config)
        }


def _networks(text: str, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Proxies that are trusted. Raises SettingsError, also for a network that holds every address."""
    try:
        networks = tuple(ip_network(each.strip()) for each in text.split(",") if each.strip())
    except ValueError as error:
        raise SettingsError(f"{name} must be addresses or networks, as in 10.0.0.7,fd00::/8: {error}") from None
    if any(network.prefixlen == 0 for network in networks):
        raise SettingsError(f"{name} would trust every address: name the proxies' own addresses or networks")
    return networks


def _with_files(environ: Mapping[str, str]) -> dict[str, str]:
    values = dict(environ)
    for name in SECRET_NAMES:
        path = values.get(f"{name}_FILE")
        if path is None:
            continue
        if name in values:
            raise SettingsError(f"both {name} and {name}_FILE are set: keep one")
        values[name] = read_secret_file(Path(path), f"{name}_FILE")
    return values


def _variable(model: type[BaseSettings], field_name: str) -> str:
    alias = model.model_fields[field_name].validation_alias if field_name in model.model_fields else field_name
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return f"KESSAI_{field_name.upper()}" if field_name in model.model_fields else str(alias)


def _unknown(model: type[BaseSettings], environ: Mapping[str, str]) -> tuple[str, ...]:
    known = [_variable(model, name) for name in model.model_fields]
    return unknown_settings(environ, [*known, *(f"{name}_FILE" for name in SECRET_NAMES)])


def _by_field(model: type[BaseSettings], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the model names, under the keys that its validation expects."""
    found = {}
    for name, info in model.model_fields.items():
        variable = _variable(model, name)
        if variable in environ:
            found[variable if info.validation_alias else name] = environ[variable]
    return found
