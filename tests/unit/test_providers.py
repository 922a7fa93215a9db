"""Which endpoints' statements are read, and with whose token."""

from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings import Settings
from workers.reconcile.providers import providers
from workers.run import RoleName, roles_for

SHOP = '[endpoints.shop]\nsecrets = ["whsec_shop"]\n'


def tokens(**environ: str) -> dict[str, str]:
    found = providers(Settings.from_env(environ))
    return {name: access.token.get_secret_value() for name, access in found.items()}


def test_a_merchant_is_its_own_provider_unless_a_providers_token_is_given() -> None:
    assert tokens() == {}
    assert tokens(SIGLUME_MERCHANT_AUTH_TOKEN="merchant") == {"siglume": "merchant"}
    assert tokens(SIGLUME_MERCHANT_AUTH_TOKEN="merchant", SIGLUME_AUTH_TOKEN="provider") == {"siglume": "provider"}
    assert tokens(SIGLUME_AUTH_TOKEN=" ") == {}


def test_an_endpoint_is_read_with_a_token_of_its_own_or_not_at_all(tmp_path: Path) -> None:
    for name in ("merchant", "provider"):
        (tmp_path / name).write_text(f"token_of_{name}\n")
    config = tmp_path / "endpoints.toml"
    given = {"KESSAI_CONFIG": str(config), "SIGLUME_MERCHANT_AUTH_TOKEN": "shared"}
    config.write_text(SHOP)
    assert tokens(**given) == {"siglume": "shared"}
    config.write_text(SHOP + 'merchant_auth_token_file = "merchant"\n')
    assert tokens(**given) == {"siglume": "shared", "shop": "token_of_merchant"}
    config.write_text(SHOP + 'merchant_auth_token_file = "merchant"\nprovider_auth_token_file = "provider"\n')
    assert tokens(**given) == {"siglume": "shared", "shop": "token_of_provider"}


def test_two_endpoints_with_one_token_are_refused_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("merchant\n")
    (tmp_path / "endpoints.toml").write_text(SHOP + 'merchant_auth_token_file = "token"\n')
    with pytest.raises(SettingsError, match=r"'siglume' and 'shop' have the same Siglume token.*of another account"):
        tokens(KESSAI_CONFIG=str(tmp_path / "endpoints.toml"), SIGLUME_MERCHANT_AUTH_TOKEN="merchant")


@pytest.mark.parametrize("content", ["", "cli_portal_key", "two words"])
def test_a_token_that_cannot_be_one_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(content)
    (tmp_path / "endpoints.toml").write_text(SHOP + 'provider_auth_token_file = "token"\n')
    with pytest.raises(SettingsError, match="provider_auth_token_file"):
        tokens(KESSAI_CONFIG=str(tmp_path / "endpoints.toml"))


def test_all_roles_are_those_that_the_settings_allow() -> None:
    assert roles_for(Settings.from_env({"SIGLUME_MERCHANT_AUTH_TOKEN": "merchant"})) == list(RoleName)
    assert RoleName.RECONCILE not in roles_for(Settings.from_env({}))
