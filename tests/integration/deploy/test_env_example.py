"""deploy/.env.example names every setting, explains it, and holds no secret."""

import re
from itertools import pairwise

from shared.settings import SECRET_NAMES, Settings
from tests.integration.deploy.compose_file import ENV_EXAMPLE, env_example

ALIASES = {
    "SIGLUME_WEBHOOK_SECRET": "webhook_secret",
    "SIGLUME_DIRECT_PAYMENT_MERCHANT": "merchant",
    "SIGLUME_MERCHANT_AUTH_TOKEN": "merchant_auth_token",
    "SIGLUME_AUTH_TOKEN": "auth_token",
    "SIGLUME_API_BASE": "api_base",
    "SIGLUME_ENV": "platform",
    "SIGLUME_SANDBOX_API_BASE": "sandbox_api_base",
    "SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET": "challenge_secret",
    "SHOP_PUBLIC_ORIGIN": "shop_origin",
    "SHOP_WEBHOOK_URL": "shop_webhook_url",
}


def test_names_every_setting_that_is_no_secret_and_nothing_else() -> None:
    aliased = {field: name for name, field in ALIASES.items()}
    settings = {aliased.get(field, f"KESSAI_{field.upper()}") for field in Settings.model_fields}
    assert set(env_example(commented=True)) == settings - set(SECRET_NAMES)


def test_values_are_the_defaults() -> None:
    assert Settings.from_env(env_example()) == Settings.from_env({})


def test_values_that_are_commented_out_are_understood() -> None:
    given = env_example(commented=True)
    assert Settings.from_env(given).merchant == "my-shop"
    del given["KESSAI_CONFIG"]
    assert Settings.from_env(given).checkouts()["siglume"].success_url == "https://shop.example.com/thanks"


def test_every_variable_is_explained_in_a_line() -> None:
    lines = ENV_EXAMPLE.read_text(encoding="utf-8").splitlines()
    for above, line in pairwise(lines):
        if re.match(r"#?[A-Z][A-Z0-9_]*=", line):
            assert re.match(r"# \S.{10,}", above), f"nothing explains {line}"
