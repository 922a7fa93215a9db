"""Do the kept bytes still carry the signature they came with? Pure: what was kept and the secrets in, a verdict out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from shared.sdrp.signature import SignatureRefusal, SignatureRefused, SigningSecret, signing_time, verify


class Verdict(StrEnum):
    PROVED = "proved"
    DOES_NOT_MATCH = "does_not_match"
    """The very secret that verified it at the door is here, and it does not vouch for these bytes."""
    KEY_NOT_CONFIGURED = "key_not_configured"
    """The secret that verified it at the door is not among those given, so this says nothing about the bytes."""
    NO_SIGNATURE = "no_signature"
    """What was kept in its place cannot be read as one: most likely the bytes did not come through the door."""


@dataclass(frozen=True, slots=True)
class Proof:
    verdict: Verdict
    signed_at: datetime | None
    """When the sender says it signed; vouched for only when proved."""
    proved_by: str | None = None
    """Fingerprint of the secret that vouches for the bytes."""


def prove(raw: bytes, signature: str, key_fingerprint: str, *, secrets: Sequence[SigningSecret]) -> Proof:
    """Verify as the door did, at the moment of signing: a proof does not age as a request does.

    `signature` is the header as kept, `key_fingerprint` that of the secret which verified it then.
    """
    header = signature.encode()
    try:
        verified = verify(raw, header, secrets=secrets, now=signing_time(header))
    except SignatureRefused as refused:
        verdict = _verdict(refused.reason, known=key_fingerprint in {secret.fingerprint for secret in secrets})
        return Proof(verdict, signed_at(signature))
    return Proof(Verdict.PROVED, signed_at(signature), verified.fingerprint)


def signed_at(signature: str) -> datetime | None:
    """When the sender says it signed; None when the header tells no moment of the calendar."""
    try:
        return datetime.fromtimestamp(signing_time(signature.encode()), UTC)
    except (SignatureRefused, ValueError, OverflowError):  # twelve digits reach further than the year 9999
        return None


def _verdict(refused: SignatureRefusal, *, known: bool) -> Verdict:
    if refused in (SignatureRefusal.MISSING, SignatureRefusal.MALFORMED):
        return Verdict.NO_SIGNATURE
    return Verdict.DOES_NOT_MATCH if known else Verdict.KEY_NOT_CONFIGURED
