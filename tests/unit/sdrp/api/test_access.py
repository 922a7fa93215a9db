"""Which platform may be called, with which token, and that the token never shows."""

import pytest
import siglume_direct_request_payment as sdk

from shared.errors import SettingsError
from shared.sdrp.api import urls
from shared.sdrp.api.access import Access
from shared.sdrp.api.errors import InvalidCall
from shared.settings import Settings
from tests.unit.sdrp.oracle import accepts

TOKEN = "eyJhbGciOi.secret.token"

SAME = (
    *("https://siglume.com/v1", " https://siglume.com/v1/ ", "HTTPS://SIGLUME.com/v1//", "http://127.0.0.1:8787/v1"),
    *("http://localhost/v1", "http://[::1]:8787/v1", "http://LOCALHOST:1"),
    *("http://siglume.com/v1", "http://127.0.0.2/v1", "http://localhost.evil.example/", "ftp://siglume.com", "siglume"),
    *(
        "https://user:pw@siglume.com/v1",
        "https://user@siglume.com",
        "https://",
        "/v1",
        "",
        "https:///v1",
        "http://[::1",
    ),
)
STRICTER = (
    *("https://@siglume.com/v1", "https://siglume.com/v1?x=1", "https://siglume.com/v1#x", "https://siglume.com:x/v1"),
    *(
        "https://sig lume.com/v1",
        "https://siglume.com\\@evil.example/v1",
        "https://sig\tlume.com",
        "https://\uff53iglume.com",
    ),
)


@pytest.mark.parametrize("base", SAME)
def test_a_base_url_is_ruled_as_the_sdk_rules(base: str) -> None:
    theirs = accepts(sdk.DirectRequestPaymentClient, auth_token="t", base_url=base or " ")
    if theirs is None:
        with pytest.raises(InvalidCall, match="SIGLUME_API_BASE"):
            urls.base_url(base)
    else:
        assert urls.base_url(base) == theirs.base_url


@pytest.mark.parametrize("base", STRICTER)
def test_a_base_url_that_readers_could_take_differently_is_refused(base: str) -> None:
    with pytest.raises(InvalidCall) as refused:
        urls.base_url(base)
    assert base not in str(refused.value)


@pytest.mark.parametrize("token", ["", "  ", "cli_0123456789", " cli_x", "two words", "to\nken", "töken", "t" * 8193])
def test_what_is_no_bearer_token_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(InvalidCall) as refused:
        Access.of(token, named_by="SIGLUME_AUTH_TOKEN")
    assert str(refused.value).startswith("SIGLUME_AUTH_TOKEN ")
    assert not token.strip() or token.strip() not in str(refused.value)


def test_the_token_shows_nowhere() -> None:
    access = Access.of(f" {TOKEN}\n")
    assert access.token.get_secret_value() == TOKEN
    assert TOKEN not in f"{access!r} {access} {access.token}"


@pytest.mark.parametrize(
    ("environ", "base"),
    [
        ({}, "https://siglume.com/v1"),
        ({"SIGLUME_ENV": " Sandbox "}, "http://127.0.0.1:8787/v1"),
        ({"SIGLUME_ENV": "sandbox", "SIGLUME_SANDBOX_API_BASE": "http://localhost:9/v1"}, "http://localhost:9/v1"),
        ({"SIGLUME_ENV": "sandbox", "SIGLUME_API_BASE": "https://other.example/v1/"}, "https://other.example/v1"),
        ({"SIGLUME_ENV": "live", "SIGLUME_SANDBOX_API_BASE": "http://localhost:9/v1"}, "https://siglume.com/v1"),
        ({"SIGLUME_ENV": "", "SIGLUME_API_BASE": " "}, "https://siglume.com/v1"),
    ],
)
def test_the_environment_names_the_platform_as_it_does_for_the_sdk(
    environ: dict[str, str], base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SIGLUME_ENV", "SIGLUME_API_BASE", "SIGLUME_SANDBOX_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_env(environ | {"SIGLUME_AUTH_TOKEN": TOKEN}).user_access().base_url == base
    assert sdk.DirectRequestPaymentClient(auth_token="t").base_url == base


def test_a_merchant_token_goes_before_the_general_one() -> None:
    both = {"SIGLUME_MERCHANT_AUTH_TOKEN": "merchants", "SIGLUME_AUTH_TOKEN": "users"}
    settings = Settings.from_env(both)
    assert settings.merchant_access().token.get_secret_value() == "merchants"
    assert settings.user_access().token.get_secret_value() == "users"
    alone = Settings.from_env({"SIGLUME_AUTH_TOKEN": "users", "SIGLUME_MERCHANT_AUTH_TOKEN": " "})
    assert alone.merchant_access().token.get_secret_value() == "users"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "SIGLUME_MERCHANT_AUTH_TOKEN is not set: set the bearer token of a Siglume user"),
        ({"SIGLUME_MERCHANT_AUTH_TOKEN": "cli_0123"}, "SIGLUME_MERCHANT_AUTH_TOKEN is a Developer Portal key"),
        ({"SIGLUME_AUTH_TOKEN": "t", "SIGLUME_API_BASE": "http://siglume.com"}, "SIGLUME_API_BASE must use https"),
    ],
)
def test_settings_that_cannot_reach_the_platform_are_refused_in_one_line(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env(environ).merchant_access()
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)
