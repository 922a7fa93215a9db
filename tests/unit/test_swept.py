"""Which endpoints are swept, and that none takes payments for a merchant that Kessai is not told."""

from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings import Settings
from workers.reconcile.sweep_settings import swept

GIVEN = {"SIGLUME_MERCHANT_AUTH_TOKEN": "token", "KESSAI_SWEEP_POLICY": "apply"}


def merchants(**environ: str) -> dict[str, str | None]:
    return {endpoint: terms.merchant for endpoint, _, terms in swept(Settings.from_env(environ))}


def test_nothing_is_applied_for_a_merchant_that_is_not_known(tmp_path: Path) -> None:
    assert merchants(SIGLUME_MERCHANT_AUTH_TOKEN="token") == {"siglume": None}
    assert merchants(KESSAI_SWEEP_POLICY="apply") == {}
    with pytest.raises(SettingsError, match="no merchant key for endpoint 'siglume'"):
        merchants(**GIVEN)
    assert merchants(**GIVEN, SIGLUME_DIRECT_PAYMENT_MERCHANT="tea_house") == {"siglume": "tea_house"}
    (tmp_path / "token").write_text("token_of_shop\n")
    (tmp_path / "endpoints.toml").write_text(
        '[endpoints.shop]\nsecrets = ["whsec_shop"]\nmerchant_auth_token_file = "token"\n'
    )
    with pytest.raises(SettingsError, match="'shop'"):
        merchants(**GIVEN, SIGLUME_DIRECT_PAYMENT_MERCHANT="tea_house", KESSAI_CONFIG=str(tmp_path / "endpoints.toml"))
