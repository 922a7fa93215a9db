"""Are the merchant's settings complete and valid, as far as that shows without a call?

Stricter than the official tool 0.5.7: a `cli_` key is refused for the sandbox, too, and so are a merchant key that
cannot be set up, URLs with a user name or without a host, a base URL that would give the token away, and a secret
outside its validity window.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from deploy.readiness.check import Check, failed, judged, passed
from shared.endpoints import EndpointKey
from shared.errors import KessaiError
from shared.registrations import Registration
from shared.sdrp.api import urls, values
from shared.sdrp.money import LARGEST, Band, Currency, band_for

SECRET_PREFIX: Final = b"whsec_"


@dataclass(frozen=True, slots=True)
class Question:
    """The endpoint that is checked."""

    registration: Registration
    keys: tuple[EndpointKey, ...]
    """The live keys."""
    keys_fault: str | None
    """Why there is none, when the settings cannot be read."""
    currency: str
    amount_minor: int
    """The amount of the checkout session that is opened as a probe."""


def smallest_standard(currency: str) -> int:
    """In minor units; an unknown currency counts as yen."""
    known = Currency(currency) if currency in set(Currency) else Currency.JPY
    return LARGEST[Band.MICRO, known] + 1


def local_checks(question: Question) -> list[Check]:
    known = question.registration
    return [
        _target(known),
        judged("merchant_key", _merchant_fault(known)),
        judged("merchant_token", _token_fault(known)),
        judged("shop_origin", _origin_fault(known)),
        judged("webhook_url", _webhook_fault(known)),
        judged("webhook_secret_present", _secret_fault(question.keys, question.keys_fault)),
        judged("standard_probe_amount", _amount_fault(question)),
    ]


def _target(known: Registration) -> Check:
    name = "target_environment"
    try:
        base = urls.base_url(known.base_url)
    except KessaiError as error:
        return failed(name, f"{error}.")
    return passed(name, f"{'sandbox' if known.is_sandbox else 'live'}: {base}")


def _merchant_fault(known: Registration) -> str | None:
    if not (known.merchant or "").strip():
        return "Set SIGLUME_DIRECT_PAYMENT_MERCHANT, the endpoint's `merchant` in KESSAI_CONFIG, or pass --merchant."
    return _refusal(lambda: values.own_merchant(known.merchant, "the merchant key"))


def _token_fault(known: Registration) -> str | None:
    """The base URL has a check of its own."""
    return _refusal(replace(known, base_url=urls.PRODUCTION).access)


def _origin_fault(known: Registration) -> str | None:
    origin = (known.origin or "").strip()
    if not origin:
        return "Set SHOP_PUBLIC_ORIGIN or pass --origin: where buyers come back to, as in https://shop.example.com."
    fault = _refusal(lambda: urls.page_url(origin, "the shop's origin"))
    if fault is not None:
        return fault
    scheme, _, rest = origin.rstrip("/").partition("://")
    if scheme not in {"http", "https"} or any(mark in rest for mark in "/?#"):
        return "The shop's origin must be scheme and host alone, as in https://shop.example.com."
    if scheme == "http" and not known.is_sandbox:
        return "The shop's origin must use https; http is for the sandbox alone."
    return None


def _webhook_fault(known: Registration) -> str | None:
    url = (known.webhook_url or "").strip()
    if not url:
        return (
            "Set SHOP_WEBHOOK_URL, the endpoint's `webhook_url` in KESSAI_CONFIG, or pass --webhook-url: the public "
            f"https URL that leads to /webhooks/{known.endpoint}."
        )
    check = urls.page_url if known.is_sandbox else urls.webhook_url
    return _refusal(lambda: check(url, "the webhook URL"))


def _secret_fault(keys: Sequence[EndpointKey], fault: str | None) -> str | None:
    if fault is not None:
        return f"{fault}."
    if not keys:
        return "No secret of this endpoint is valid now: see `kessai keys list`, and name one that is."
    without_prefix = [key.fingerprint for key in keys if not key.secret.key.startswith(SECRET_PREFIX)]
    if without_prefix:
        return f"A webhook secret begins with whsec_, and {', '.join(without_prefix)} does not: copy it again."
    return None


def _amount_fault(question: Question) -> str | None:
    if question.currency not in set(Currency):
        return "Use JPY or USD for the probe."
    currency = Currency(question.currency)
    try:
        if band_for(question.amount_minor, currency) is Band.STANDARD:
            return None
    except KessaiError as error:
        return f"{error}."
    return f"The probe needs the standard band: {currency} {smallest_standard(currency)} minor units or more."


def _refusal(call: Callable[[], object]) -> str | None:
    try:
        call()
    except KessaiError as error:
        return f"{str(error)[0].upper()}{str(error)[1:]}."
    return None
