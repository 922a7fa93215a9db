"""What is an amount, which band does it fall in, and what does the platform keep? (SDRP pricing bands)

Amounts are minor units: yen, or US cents. Always Decimal or int, never float.
"""

import re
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from shared.errors import KessaiError

MAX_SAFE_INTEGER = 2**53 - 1
"""Above it a JSON reader in another language may have rounded."""

_PLAIN_DECIMAL = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,18})?", re.ASCII)


class InvalidAmount(KessaiError):
    """Not an amount of money in minor units."""


class Currency(StrEnum):
    JPY = "JPY"
    USD = "USD"


class Band(StrEnum):
    """How an amount is priced and settled."""

    STANDARD = "standard"
    MICRO = "micro"
    NANO = "nano"


class Cadence(StrEnum):
    """When payments of a band reach the chain."""

    PER_PAYMENT = "per_payment"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


CADENCES = MappingProxyType(
    {Band.STANDARD: Cadence.PER_PAYMENT, Band.MICRO: Cadence.WEEKLY, Band.NANO: Cadence.MONTHLY}
)

LARGEST = MappingProxyType(
    {
        (Band.NANO, Currency.JPY): 49,
        (Band.NANO, Currency.USD): 30,
        (Band.MICRO, Currency.JPY): 500,
        (Band.MICRO, Currency.USD): 300,
    }
)
"""The largest amount of each metered band, in minor units."""

PROTOCOL_FEES = MappingProxyType(
    {
        (Band.MICRO, Currency.JPY): Decimal("2"),
        (Band.MICRO, Currency.USD): Decimal("1"),
        (Band.NANO, Currency.JPY): Decimal("0.2"),
        (Band.NANO, Currency.USD): Decimal("0.1"),
    }
)
"""Minor units a payment, as published. The platform's own figures are the truth: never book revenue from this."""


def parse_minor(text: str) -> Decimal:
    """A plain ASCII decimal of at most 30 digits before and 18 after the point. Raises InvalidAmount."""
    if not _PLAIN_DECIMAL.fullmatch(text):
        raise InvalidAmount(f"{text[:60]!r} is no amount: write minor units as a plain decimal such as 1200 or 0.2")
    return Decimal(text)


def positive_amount(amount_minor: int) -> int:
    """The amount of an order or a challenge, checked: whole, above zero, exact everywhere. Raises InvalidAmount."""
    if isinstance(amount_minor, bool) or not isinstance(amount_minor, int):
        raise InvalidAmount(f"an amount must be a whole number of minor units, not {type(amount_minor).__name__}")
    if not 0 < amount_minor <= MAX_SAFE_INTEGER:
        raise InvalidAmount(f"an amount must be from 1 to {MAX_SAFE_INTEGER} minor units")
    return amount_minor


def band_for(amount_minor: int, currency: Currency) -> Band:
    """The band in which an order of this amount is priced. Raises InvalidAmount."""
    amount = positive_amount(amount_minor)
    for band in (Band.NANO, Band.MICRO):
        if amount <= LARGEST[band, currency]:
            return band
    return Band.STANDARD


def protocol_fee(band: Band, currency: Currency) -> Decimal:
    """What the seller bears for one metered payment, in minor units, for estimates only.

    Raises InvalidAmount for the standard band: its fee is the `fee_bps` that the platform states for each payment.
    """
    if band is Band.STANDARD:
        raise InvalidAmount("the standard band has no fixed fee: take fee_bps from the platform")
    return PROTOCOL_FEES[band, currency]
