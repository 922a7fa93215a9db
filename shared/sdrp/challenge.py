"""Which challenge binds a merchant, an amount and a currency to one order attempt? (SDRP challenges, request hashes)

Values are normalised as the official SDK 0.5.7 does: trimmed, merchant lower-cased, currency upper-cased. Stricter:
text must be text (the SDK turns numbers into it), and a nonce is always given, since one drawn at random could not be
reused when the same attempt is retried.
"""

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from enum import StrEnum

from shared.errors import KessaiError
from shared.sdrp.money import Currency, positive_amount
from shared.sdrp.text import nonce_text, required_text

ONE_TIME_SCHEME = "siglume-external-402-v1"
RECURRING_SCHEME = "siglume-external-402-recurring-v1"

MERCHANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,95}", re.ASCII)


class InvalidChallenge(KessaiError):
    """A challenge, or a value that cannot be part of one."""


class RecurringCadence(StrEnum):
    """How often a recurring approval may be charged."""

    MONTHLY = "monthly"
    DAILY = "daily"


@dataclass(frozen=True, slots=True)
class Challenge:
    """`<scheme>:<nonce>:<hex signature>`; `str()` gives that text."""

    scheme: str
    nonce: str
    signature: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.nonce}:{self.signature}"

    @property
    def hash(self) -> str:
        """The hash by which an order is found; store it before the buyer is sent to pay."""
        return challenge_hash(str(self))


def create_challenge(*, secret: str, merchant: str, amount_minor: int, currency: str, nonce: str) -> Challenge:
    """For one payment. Derive `nonce` from the order attempt (`order_123-attempt_1`) so that a retry reuses it.

    Raises InvalidChallenge or InvalidAmount.
    """
    attempt = nonce_text(nonce, "nonce", InvalidChallenge)
    terms = _terms(merchant, amount_minor, currency)
    return Challenge(ONE_TIME_SCHEME, attempt, _signature(secret, *terms, attempt))


def create_recurring_challenge(
    *, secret: str, merchant: str, amount_minor: int, currency: str, cadence: str, nonce: str
) -> Challenge:
    """For one approval of recurring charges; the cadence is signed too. Raises InvalidChallenge or InvalidAmount."""
    attempt = nonce_text(nonce, "nonce", InvalidChallenge)
    terms = _terms(merchant, amount_minor, currency)
    return Challenge(RECURRING_SCHEME, attempt, _signature(secret, *terms, _cadence(cadence), attempt))


def parse_challenge(text: str) -> Challenge:
    """The three parts of a challenge of any scheme; nothing is verified. Raises InvalidChallenge."""
    parts = _required(text, "challenge").split(":")
    if len(parts) != 3 or not all(parts):
        raise InvalidChallenge("a challenge reads scheme:nonce:signature: pass it on unchanged")
    return Challenge(*parts)


def verify_challenge(*, secret: str, merchant: str, amount_minor: int, currency: str, challenge: str) -> bool:
    """Whether the secret signed this payment. Raises InvalidChallenge or InvalidAmount for impossible values."""
    given = parse_challenge(challenge)
    if given.scheme != ONE_TIME_SCHEME:
        return False
    expected = create_challenge(
        secret=secret, merchant=merchant, amount_minor=amount_minor, currency=currency, nonce=given.nonce
    )
    return _same(expected.signature, given.signature)


def verify_recurring_challenge(
    *, secret: str, merchant: str, amount_minor: int, currency: str, cadence: str, challenge: str
) -> bool:
    """Whether the secret signed this approval. Raises InvalidChallenge or InvalidAmount for impossible values."""
    given = parse_challenge(challenge)
    if given.scheme != RECURRING_SCHEME:
        return False
    expected = create_recurring_challenge(
        secret=secret,
        merchant=merchant,
        amount_minor=amount_minor,
        currency=currency,
        cadence=cadence,
        nonce=given.nonce,
    )
    return _same(expected.signature, given.signature)


def challenge_hash(challenge: str) -> str:
    """`sha256:<hex>` of the challenge text, by which a confirmation names its order."""
    return _sha256(_required(challenge, "challenge"))


def request_hash(*, merchant: str, amount_minor: int, currency: str, challenge: str) -> str:
    """Version 1: `sha256:<hex>` of the four values, concatenated. Accept it as well as version 2."""
    return _sha256("".join(_terms(merchant, amount_minor, currency)) + _required(challenge, "challenge"))


def request_hash_v2(*, merchant: str, amount_minor: int, currency: str, challenge: str) -> str:
    """Version 2: `sha256:<hex>` of canonical JSON, which leaves no doubt where one value ends."""
    key, amount, code = _terms(merchant, amount_minor, currency)
    request = {
        "amount_minor": int(amount),
        "challenge": _required(challenge, "challenge"),
        "currency": code,
        "merchant": key,
        "version": 2,
    }
    return _sha256(json.dumps(request, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def normalize_merchant(value: str) -> str:
    """Trimmed and lower-cased, as the platform knows it. Raises InvalidChallenge when that is no merchant key."""
    merchant = _required(value, "merchant").lower()
    if not MERCHANT.fullmatch(merchant):
        raise InvalidChallenge(
            f"merchant {merchant[:120]!r} is no merchant key: use 1 to 96 of a-z, 0-9, dot, underscore and hyphen, "
            "beginning with a letter or digit"
        )
    return merchant


def normalize_currency(value: str) -> Currency:
    """Trimmed and upper-cased. Raises InvalidChallenge unless it is JPY or USD."""
    code = _required(value, "currency").upper()
    try:
        return Currency(code)
    except ValueError:
        raise InvalidChallenge(f"currency {code[:20]!r} is not supported: use JPY or USD") from None


def _terms(merchant: str, amount_minor: int, currency: str) -> tuple[str, str, str]:
    """What the buyer agrees to pay and to whom, as the texts that are signed and hashed."""
    return normalize_merchant(merchant), str(int(positive_amount(amount_minor))), str(normalize_currency(currency))


def _cadence(value: str) -> str:
    try:
        return RecurringCadence(_required(value, "cadence").lower())
    except ValueError:
        raise InvalidChallenge("a recurring cadence is monthly (subscription) or daily (scheduled payment)") from None


def _signature(secret: str, *signed: str) -> str:
    key = _required(secret, "the challenge secret").encode()
    return hmac.digest(key, ":".join(signed).encode(), "sha256").hex()


def _same(expected: str, given: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(expected.encode(), given.encode())


def _sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _required(value: str, name: str) -> str:
    return required_text(value, name, InvalidChallenge)
