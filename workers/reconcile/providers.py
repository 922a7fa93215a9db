"""Which endpoints' statements are read, and with whose token? As the settings say."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shared.endpoint_tables import tables
from shared.endpoints import DEFAULT_ENDPOINT
from shared.errors import SettingsError
from shared.registrations import MERCHANT_TOKEN
from shared.sdrp.api.access import Access
from shared.settings import Settings

PROVIDERS: Final = "SIGLUME_AUTH_TOKEN"
TOKEN_FILES: Final = (MERCHANT_TOKEN, "provider_auth_token_file")
"""Of an endpoint's table; the later one counts."""


def providers(settings: Settings) -> dict[str, Access]:
    """Each endpoint that has a token of its own: a provider's, or else its merchant's, who is its own provider.

    Statements do not say of which merchant a payment is, so no two endpoints may share a token: see
    `deploy/decisions/0008-metered-books.md`. Raises SettingsError.
    """
    merchant = settings.registrations()[DEFAULT_ENDPOINT]
    provider = replace(merchant, token=settings.auth_token, token_named_by=PROVIDERS)
    default = provider if provider.has_token else merchant
    found = {DEFAULT_ENDPOINT: default} if default.has_token else {}
    for table in tables(settings.config):
        for key in TOKEN_FILES:
            own = merchant.with_token_of(table, key)
            found |= {table.name: own} if own is not None else {}
    accesses = {name: registration.access() for name, registration in found.items()}
    _refuse_shared(accesses)
    return accesses


def _refuse_shared(accesses: Mapping[str, Access]) -> None:
    """Each endpoint would miss the webhooks of the other's payments. Raises SettingsError."""
    owners: dict[str, str] = {}
    for name, access in accesses.items():
        owner = owners.setdefault(access.token.get_secret_value(), name)
        if owner != name:
            raise SettingsError(
                f"endpoints {owner!r} and {name!r} have the same Siglume token, and statements do not say of which of "
                "them a payment is: give one of them the token of another account in provider_auth_token_file, or run "
                "workers without reconcile"
            )


def providers_of(settings: Settings, endpoint: str | None) -> dict[str, Access]:
    """All of them, or that one. Raises SettingsError where there is no such endpoint, or nothing to ask with."""
    names = settings.registrations()
    if endpoint is not None and endpoint not in names:
        raise SettingsError(f"there is no endpoint {endpoint!r}: name one of {', '.join(names)}")
    found = {name: access for name, access in providers(settings).items() if endpoint in (None, name)}
    if not found:
        which = "no endpoint has a" if endpoint is None else f"endpoint {endpoint!r} has no"
        raise SettingsError(
            f"{which} Siglume token of its own here: set SIGLUME_MERCHANT_AUTH_TOKEN, or merchant_auth_token_file in "
            "the TOML file of KESSAI_CONFIG"
        )
    return found
