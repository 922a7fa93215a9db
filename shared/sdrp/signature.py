"""Did a live secret of ours sign exactly these bytes? (SDRP webhooks, header `Siglume-Signature`)

The header reads `t=<unix seconds>,v1=<hex hmac-sha256 of "<t>.<raw body>">`. Stricter than the official SDK 0.5.7:
`t` occurs once and is 1 to 12 ASCII digits, its literal bytes are signed, every `v1` is 64 lower-case hex digits (the
SDK compares with lower-case text, so upper case never verified), and the header is printable ASCII of a length that
is stored whole. For a rotation there may be up to five `v1`, any of which may match any live secret. Unknown schemes
are ignored.
"""

import hashlib
import hmac
import re
from binascii import a2b_hex
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from shared.errors import KessaiError

TOLERANCE_SECONDS = 300
"""How far the sender's clock may be ahead of ours or behind it."""

MAX_SIGNATURES = 5
"""`v1` entries in one header; each costs a comparison for each live secret."""

MAX_HEADER = 8190
"""Bytes of a header, unknown schemes included: as long as HTTP servers usually take one."""

_USUAL = re.compile(rb"t=([0-9]{1,12}),v1=([0-9a-f]{64})")
_PRINTABLE = re.compile(rb"[\t -~]*")
_TIMESTAMP = re.compile(rb"[0-9]{1,12}")
_SIGNATURE = re.compile(rb"[0-9a-f]{64}")


class SignatureRefusal(StrEnum):
    """Why a signature is refused, for metrics only: the answer to the sender is the same for every reason."""

    NO_SECRET = "no_secret"  # noqa: S105 - the name of a reason
    MISSING = "missing"
    MALFORMED = "malformed"
    STALE = "stale"
    NO_MATCH = "no_match"


class SignatureRefused(KessaiError):
    """No live secret has signed the bytes; nothing in them may be trusted."""

    def __init__(self, reason: SignatureRefusal) -> None:
        super().__init__(f"webhook signature refused: {reason}; check the secret, the clock and the raw body")
        self.reason = reason


class UnusableSecret(KessaiError):
    """A webhook secret that protects nothing."""


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A webhook secret (`whsec_...`), known to logs and people only by its fingerprint."""

    key: bytes = field(repr=False)
    fingerprint: str

    def __post_init__(self) -> None:
        if not self.key.strip():
            raise UnusableSecret(
                "the webhook secret is blank: an empty key verifies anything that anyone signs with it; set whsec_..."
            )

    @classmethod
    def from_text(cls, secret: str) -> Self:
        """Trimmed, as the platform's SDK trims it. Raises UnusableSecret when blank or not encodable as UTF-8."""
        try:
            key = secret.strip().encode()
        except UnicodeEncodeError:
            raise UnusableSecret("the webhook secret is not valid UTF-8 text: copy it again from Siglume") from None
        return cls(key=key, fingerprint=hashlib.sha256(key).hexdigest()[:12])


@dataclass(frozen=True, slots=True)
class Verified:
    """Which secret signed, and when."""

    timestamp: int
    """Unix seconds at which the sender says it signed."""
    fingerprint: str
    """The secret that matched."""


def verify(
    raw: bytes, header: bytes, *, secrets: Sequence[SigningSecret], now: float, tolerance: int = TOLERANCE_SECONDS
) -> Verified:
    """The secret that signed the raw body. `now` is unix seconds. Raises SignatureRefused."""
    if not secrets:
        raise SignatureRefused(SignatureRefusal.NO_SECRET)
    stamp, signatures = _read_header(header)
    timestamp = int(stamp)
    if abs(int(now) - timestamp) > tolerance:
        raise SignatureRefused(SignatureRefusal.STALE)
    signed = b"%b.%b" % (stamp, raw)
    for secret in secrets:
        expected = hmac.digest(secret.key, signed, "sha256")
        for signature in signatures:
            if hmac.compare_digest(expected, a2b_hex(signature)):
                return Verified(timestamp, secret.fingerprint)
    raise SignatureRefused(SignatureRefusal.NO_MATCH)


def signing_time(header: bytes) -> int:
    """The unix seconds that the header states, before anything is verified. Raises SignatureRefused."""
    return int(_read_header(header)[0])


def sign(raw: bytes, *, secret: SigningSecret, timestamp: int) -> str:
    """The value of `Siglume-Signature` for `raw`, signed at `timestamp` (unix seconds)."""
    digest = hmac.digest(secret.key, b"%d.%b" % (timestamp, raw), "sha256")
    return f"t={timestamp},v1={digest.hex()}"


def _read_header(header: bytes) -> tuple[bytes, Sequence[bytes]]:
    """The literal `t` and every `v1`. Raises SignatureRefused."""
    usual = _USUAL.fullmatch(header)
    return (usual[1], (usual[2],)) if usual else _read_unusual(header)


def _read_unusual(header: bytes) -> tuple[bytes, Sequence[bytes]]:
    if not header.strip():
        raise SignatureRefused(SignatureRefusal.MISSING)
    # With other bytes an entry that the SDK trims and reads could appear as an unknown scheme here.
    if len(header) > MAX_HEADER or not _PRINTABLE.fullmatch(header):
        raise SignatureRefused(SignatureRefusal.MALFORMED)
    entries = [entry.strip() for entry in header.split(b",")]
    stamps = [entry[2:] for entry in entries if entry.startswith(b"t=")]
    signatures = [entry[3:] for entry in entries if entry.startswith(b"v1=")]
    if len(stamps) != 1 or not _TIMESTAMP.fullmatch(stamps[0]):
        raise SignatureRefused(SignatureRefusal.MALFORMED)
    if not 1 <= len(signatures) <= MAX_SIGNATURES or not all(map(_SIGNATURE.fullmatch, signatures)):
        raise SignatureRefused(SignatureRefusal.MALFORMED)
    return stamps[0], signatures
