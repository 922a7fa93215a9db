"""With whose token is Siglume asked for an endpoint? Readiness, checkout, sweep and reviews have one answer."""

from pathlib import Path

import pytest

from deploy.readiness.local import Question, local_checks
from shared.errors import SettingsError
from shared.settings import Settings
from workers.reconcile.sweep_settings import swept

TEA = '[endpoints.tea_shop]\nsecrets = ["whsec_tea"]\nmerchant = "tea_house"\n'
OWN = 'merchant_auth_token_file = "token"\n'


def given(folder: Path, text: str) -> Settings:
    """Two endpoints, and a token in the environment."""
    (folder / "token").write_text("token_of_tea\n", encoding="utf-8")
    (folder / "endpoints.toml").write_text(text, encoding="utf-8")
    return Settings.from_env(
        {"SIGLUME_MERCHANT_AUTH_TOKEN": "token_of_default", "KESSAI_CONFIG": str(folder / "endpoints.toml")}
    )


def of_readiness(settings: Settings) -> dict[str, str]:
    known = settings.registrations()
    return {name: each.access().token.get_secret_value() for name, each in known.items() if each.has_token}


def of_checkout(settings: Settings) -> dict[str, str]:
    terms = settings.checkouts()
    return {name: each.access.token.get_secret_value() for name, each in terms.items() if each.access is not None}


def of_sweep(settings: Settings) -> dict[str, str]:
    return {name: access.token.get_secret_value() for name, access, _ in swept(settings)}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (TEA, {"siglume": "token_of_default"}),
        (TEA + OWN, {"siglume": "token_of_default", "tea_shop": "token_of_tea"}),
        ("[endpoints.siglume]\n", {"siglume": "token_of_default"}),
        ("[endpoints.siglume]\n" + OWN, {"siglume": "token_of_tea"}),
    ],
    ids=["none of its own", "its own", "the default one", "the default one's own"],
)
def test_the_environments_token_is_the_default_endpoints_alone(
    tmp_path: Path, text: str, tokens: dict[str, str]
) -> None:
    settings = given(tmp_path, text)
    assert of_readiness(settings) == of_checkout(settings) == of_sweep(settings) == tokens


def test_an_endpoint_without_a_token_is_not_ready_and_told_what_to_set(tmp_path: Path) -> None:
    registration = given(tmp_path, TEA).registrations()["tea_shop"]
    checks = {each.name: each for each in local_checks(Question(registration, (), None, "JPY", 501))}
    assert checks["merchant_token"].status == "fail"
    assert "[endpoints.tea_shop]: merchant_auth_token_file is not set" in checks["merchant_token"].message
    with pytest.raises(SettingsError, match="merchant_auth_token_file is not set"):
        registration.access()
