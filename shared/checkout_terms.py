"""What did the merchant decide about starting payments of an endpoint's orders?"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import SecretStr

from shared.endpoint_tables import read_secret_file
from shared.errors import KessaiError, SettingsError
from shared.sdrp.api import urls
from shared.sdrp.api.access import Access

SUCCESS, CANCEL = "success_url", "cancel_url"


@dataclass(frozen=True, slots=True)
class CheckoutTerms:
    """None: that is not done for this endpoint, or each call must say it."""

    access: Access | None = None
    """To Hosted Checkout."""
    challenge_secret: SecretStr | None = field(default=None, repr=False)
    """Signs challenges for buyers' programs."""
    origins: frozenset[str] = frozenset()
    """Where buyers may be sent back to."""
    success_url: str | None = None
    cancel_url: str | None = None

    @property
    def starts_payments(self) -> bool:
        return self.access is not None or self.challenge_secret is not None


class _Names(NamedTuple):
    """Of settings, as an error tells them."""

    origins: str
    success_url: str
    cancel_url: str


_OF_ENVIRONMENT: Final = _Names("SHOP_PUBLIC_ORIGIN", "KESSAI_CHECKOUT_SUCCESS_URL", "KESSAI_CHECKOUT_CANCEL_URL")


def terms_of_default(
    *,
    access: Access | None,
    challenge_secret: SecretStr | None,
    origin: str | None,
    success_url: str | None,
    cancel_url: str | None,
) -> CheckoutTerms:
    """Of the default endpoint, as the environment has it. Raises SettingsError."""
    is_blank = challenge_secret is None or not challenge_secret.get_secret_value().strip()
    terms = CheckoutTerms(access, None if is_blank else challenge_secret)
    return _with_urls(terms, [origin] if origin else [], success_url, cancel_url, _OF_ENVIRONMENT)


def terms_of(
    table: Mapping[str, object], where: str, beside: Path, *, base: str, default: CheckoutTerms
) -> CheckoutTerms:
    """Of an endpoint in the TOML file; what the table leaves out is as `default` says. Raises SettingsError."""
    terms = default
    token = _of_file(table, "merchant_auth_token_file", where, beside)
    if token is not None:
        name = f"{where}: merchant_auth_token_file"
        try:
            terms = replace(terms, access=Access.of(token.get_secret_value(), base_url=base, named_by=name))
        except KessaiError as error:
            raise SettingsError(str(error)) from None
    secret = _of_file(table, "challenge_secret_file", where, beside)
    if secret is not None:
        terms = replace(terms, challenge_secret=secret)
    origins = table.get("origins", sorted(terms.origins))
    if not isinstance(origins, list):
        raise SettingsError(f"{where}: origins must be a list")
    names = _Names(*(f"{where}: {name}" for name in ("origins", SUCCESS, CANCEL)))
    return _with_urls(terms, origins, table.get(SUCCESS, terms.success_url), table.get(CANCEL, terms.cancel_url), names)


def _with_urls(
    terms: CheckoutTerms, origins: list[object], success_url: object, cancel_url: object, names: _Names
) -> CheckoutTerms:
    """Raises SettingsError, for a page on another origin, too: a buyer would be sent there by mistake."""
    try:
        allowed = frozenset(urls.origin(str(origin), names.origins) for origin in origins)
        pages = []
        for value, name in ((success_url, names.success_url), (cancel_url, names.cancel_url)):
            page = None if value is None or not str(value).strip() else urls.page_url(str(value), name)
            if page is not None and urls.origin(page, name) not in allowed:
                raise SettingsError(f"{name} is on none of the shop's origins: name it in {names.origins}")
            pages.append(page)
    except KessaiError as error:
        raise SettingsError(str(error)) from None
    return replace(terms, origins=allowed, success_url=pages[0], cancel_url=pages[1])


def _of_file(table: Mapping[str, object], key: str, where: str, beside: Path) -> SecretStr | None:
    path = table.get(key)
    if path is None:
        return None
    secret = read_secret_file(beside / str(path), f"{where}: {key}")
    if not secret.strip():
        raise SettingsError(f"{where}: the file of {key} is blank: anybody could sign with an empty secret")
    return SecretStr(secret)
