"""What the merchant decided about starting payments, and how it is refused what was decided wrongly."""

from pathlib import Path

import pytest

from shared.checkout_terms import CheckoutTerms
from shared.errors import SettingsError
from shared.sdrp.api import urls
from shared.settings import Settings

SHOP = "https://shop.example.com"


def terms(**environ: str) -> CheckoutTerms:
    return Settings.from_env(environ).checkouts()["siglume"]


def toml(folder: Path, text: str) -> str:
    for name in ("token", "secret"):
        (folder / name).write_text(f"{name}-of-tea\n", encoding="utf-8")
    (folder / "blank").write_text("\n", encoding="utf-8")
    path = folder / "kessai.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_names_that_merchants_already_set_are_honoured() -> None:
    found = terms(
        SIGLUME_MERCHANT_AUTH_TOKEN="token",
        SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET="edrp_secret",
        SHOP_PUBLIC_ORIGIN=f"{SHOP}/",
        SIGLUME_ENV="sandbox",
        KESSAI_CHECKOUT_SUCCESS_URL=f"{SHOP}/thanks",
    )
    assert found.access is not None
    assert found.challenge_secret is not None
    assert (found.access.base_url, found.access.token.get_secret_value()) == (urls.SANDBOX, "token")
    assert found.challenge_secret.get_secret_value() == "edrp_secret"
    assert (sorted(found.origins), found.success_url, found.cancel_url) == ([SHOP], f"{SHOP}/thanks", None)
    assert "edrp_secret" not in repr(found)
    assert "'token'" not in repr(found)


@pytest.mark.parametrize("blank", ["", " "])
def test_what_is_blank_is_not_given(blank: str) -> None:
    found = terms(SIGLUME_MERCHANT_AUTH_TOKEN=blank, SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET=blank)
    assert found == CheckoutTerms()
    assert not found.starts_payments


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"SHOP_PUBLIC_ORIGIN": "http://shop.example.com"}, "SHOP_PUBLIC_ORIGIN must use https"),
        ({"SHOP_PUBLIC_ORIGIN": "shop"}, "SHOP_PUBLIC_ORIGIN must be an absolute URL"),
        ({"KESSAI_CHECKOUT_SUCCESS_URL": f"{SHOP}/thanks"}, "name it in SHOP_PUBLIC_ORIGIN"),
        (
            {"KESSAI_CHECKOUT_CANCEL_URL": "https://elsewhere.example.com", "SHOP_PUBLIC_ORIGIN": SHOP},
            "KESSAI_CHECKOUT_CANCEL_URL is on none of the shop's origins",
        ),
        ({"SIGLUME_MERCHANT_AUTH_TOKEN": "cli_12345678"}, "SIGLUME_MERCHANT_AUTH_TOKEN is a Developer Portal key"),
        ({"SIGLUME_MERCHANT_AUTH_TOKEN": "t", "SIGLUME_API_BASE": "http://siglume.com"}, "SIGLUME_API_BASE must"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        terms(**environ)


def test_each_shop_of_the_file_has_its_own_terms_and_the_default_what_it_leaves_out(tmp_path: Path) -> None:
    text = f"""
        [endpoints.tea]
        merchant = "tea"
        merchant_auth_token_file = "token"
        challenge_secret_file = "secret"
        origins = ["https://tea.example.com", "http://localhost:3000"]
        success_url = "https://tea.example.com/thanks"
        [endpoints.siglume]
        cancel_url = "{SHOP}/cart"
    """
    found = Settings.from_env(
        {
            "KESSAI_CONFIG": toml(tmp_path, text),
            "SIGLUME_MERCHANT_AUTH_TOKEN": "token-of-default",
            "SHOP_PUBLIC_ORIGIN": SHOP,
        }
    ).checkouts()
    tea, default = found["tea"], found["siglume"]
    assert tea.access is not None
    assert tea.challenge_secret is not None
    assert (tea.access.token.get_secret_value(), tea.access.base_url) == ("token-of-tea", urls.PRODUCTION)
    assert (tea.challenge_secret.get_secret_value(), len(tea.origins)) == ("secret-of-tea", 2)
    assert default.access is not None
    assert default.access.token.get_secret_value() == "token-of-default"
    assert (sorted(default.origins), default.cancel_url, default.challenge_secret) == ([SHOP], f"{SHOP}/cart", None)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('merchant_auth_token_file = "blank"', "merchant_auth_token_file is blank"),
        ('challenge_secret_file = "blank"', "challenge_secret_file is blank"),
        ('challenge_secret_file = "none"', "challenge_secret_file: cannot read"),
        ("merchant_auth_token_file = 5", "merchant_auth_token_file must be text"),
        ("cancel_url = 5", "cancel_url must be text"),
        ('origins = "https://tea.example.com"', "origins must be a list"),
        ('origins = ["tea"]', r"\[endpoints.tea\]: origins must be an absolute URL"),
        ('success_url = "https://tea.example.com/thanks"', r"success_url is on none of the shop's origins"),
    ],
)
def test_a_wrong_table_is_named_with_its_file(tmp_path: Path, line: str, says: str) -> None:
    settings = Settings.from_env({"KESSAI_CONFIG": toml(tmp_path, f"[endpoints.tea]\n{line}\n")})
    with pytest.raises(SettingsError, match=says) as refused:
        settings.checkouts()
    assert "kessai.toml: [endpoints.tea]" in str(refused.value)


@pytest.mark.parametrize("line", ['merchant_auth_token_file = "blank"', "merchant_auth_token_file = 5", "origins = 5"])
def test_what_is_read_for_payments_and_for_readiness_is_read_alike(tmp_path: Path, line: str) -> None:
    settings = Settings.from_env({"KESSAI_CONFIG": toml(tmp_path, f"[endpoints.tea]\n{line}\n")})
    with pytest.raises(SettingsError) as of_payments:
        settings.checkouts()
    with pytest.raises(SettingsError) as of_readiness:
        settings.registrations()
    assert str(of_payments.value) == str(of_readiness.value)
