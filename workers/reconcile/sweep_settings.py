"""Which endpoints are swept, and how? As the settings say."""

from dataclasses import replace
from datetime import timedelta

from shared.errors import SettingsError
from shared.ledger.hosted_sessions import merchant_untold
from shared.ledger.sweep_rules import SweepPolicy, SweepTerms
from shared.sdrp.api.access import Access
from shared.settings import Settings


def swept(settings: Settings) -> list[tuple[str, Access, SweepTerms]]:
    """The endpoints whose merchant's token is here. Raises SettingsError."""
    shops = settings.shops()
    usual = SweepTerms(after=timedelta(seconds=settings.sweep_after), policy=settings.sweep_policy)
    found = [
        (endpoint, terms.access, replace(usual, merchant=shops[endpoint].merchant))
        for endpoint, terms in settings.checkouts().items()
        if terms.access is not None
    ]
    for endpoint, _, terms in found:
        if terms.policy is SweepPolicy.APPLY and terms.merchant is None:
            raise SettingsError(f"{merchant_untold(endpoint)}: KESSAI_SWEEP_POLICY=apply would never apply")
    return found


def swept_endpoints(settings: Settings, endpoint: str | None) -> list[tuple[str, Access, SweepTerms]]:
    """All of them, or that one. Raises SettingsError where there is nothing to ask with."""
    found = [each for each in swept(settings) if endpoint in (None, each[0])]
    if endpoint is not None and endpoint not in settings.shops():
        raise SettingsError(f"no endpoint {endpoint!r} here: name it in the TOML file of KESSAI_CONFIG")
    if not found:
        which = f"endpoint {endpoint!r} has" if endpoint else "no endpoint has"
        raise SettingsError(
            f"{which} {'no' if endpoint else 'a'} Siglume token here: set SIGLUME_MERCHANT_AUTH_TOKEN, or "
            "merchant_auth_token_file in the TOML file of KESSAI_CONFIG"
        )
    return found
