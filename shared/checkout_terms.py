"""On which terms are payments of an endpoint's orders started?"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from pydantic import SecretStr

from shared.endpoint_tables import EndpointTable
from shared.errors import KessaiError, SettingsError
from shared.sdrp.api import urls
from shared.sdrp.api.access import Access

SUCCESS, CANCEL = "success_url", "cancel_url"


@dataclass(frozen=True, slots=True)
class CheckoutTerms:
    """A value that is None is not available for this endpoint, or each call must give it."""

    access: Access | None = None
    """The access to Hosted Checkout."""
    challenge_secret: SecretStr | None = field(default=None, repr=False)
    """The secret that signs challenges for buyers' programs."""
    origins: frozenset[str] = frozenset()
    """The origins to which buyers may return."""
    success_url: str | None = None
    cancel_url: str | None = None

    @property
    def starts_payments(self) -> bool:
        return self.access is not None or self.challenge_secret is not None


class _Names(NamedTuple):
    """The names of settings in errors."""

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
    """The terms of the default endpoint, from the environment. Raises SettingsError."""
    is_blank = challenge_secret is None or not challenge_secret.get_secret_value().strip()
    terms = CheckoutTerms(access, None if is_blank else challenge_secret)
    return _with_urls(terms, [origin] if origin else [], success_url, cancel_url, _OF_ENVIRONMENT)


def terms_of(table: EndpointTable, *, access: Access | None, default: CheckoutTerms) -> CheckoutTerms:
    """The terms of an endpoint in the TOML file; what its table leaves out is taken from `default`.

    Raises SettingsError.
    """
    terms = replace(
        default,
        access=access,
        challenge_secret=table.secret_of("challenge_secret_file") or default.challenge_secret,
    )
    origins = sorted(default.origins) if table.origins is None else table.origins
    success, cancel = table.text(SUCCESS), table.text(CANCEL)
    return _with_urls(
        terms,
        origins,
        default.success_url if success is None else success,
        default.cancel_url if cancel is None else cancel,
        _Names(*(table.named(name) for name in ("origins", SUCCESS, CANCEL))),
    )


def _with_urls(
    terms: CheckoutTerms, origins: Sequence[str], success_url: str | None, cancel_url: str | None, names: _Names
) -> CheckoutTerms:
    """Raises SettingsError, also for a page on another origin: a buyer would be sent there by mistake."""
    try:
        allowed = frozenset(urls.origin(origin, names.origins) for origin in origins)
        pages = []
        for value, name in ((success_url, names.success_url), (cancel_url, names.cancel_url)):
            page = None if value is None or not value.strip() else urls.page_url(value, name)
            if page is not None and urls.origin(page, name) not in allowed:
                raise SettingsError(f"{name} is on none of the shop's origins: name it in {names.origins}")
            pages.append(page)
    except KessaiError as error:
        raise SettingsError(str(error)) from None
    return replace(terms, origins=allowed, success_url=pages[0], cancel_url=pages[1])
