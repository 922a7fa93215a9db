"""Kept bytes prove themselves against the secrets at hand, however old they are; every other answer says why not."""

from datetime import UTC, datetime

from shared.ledger.proof import Proof, Verdict, prove, signed_at
from shared.sdrp.signature import SigningSecret, sign

RAW = b'{"id": "evt-1"}\xff\x00'
SECRET = SigningSecret.from_text("whsec_then")
OTHER = SigningSecret.from_text("whsec_now")
YEARS_AGO = datetime(2019, 11, 20, 12, tzinfo=UTC)
HEADER = sign(RAW, secret=SECRET, timestamp=int(YEARS_AGO.timestamp()))


def test_bytes_of_years_ago_are_proved_by_the_secret_of_then() -> None:
    proof = prove(RAW, HEADER, SECRET.fingerprint, secrets=(OTHER, SECRET))
    assert proof == Proof(Verdict.PROVED, YEARS_AGO, SECRET.fingerprint)


def test_one_other_byte_does_not_match() -> None:
    proof = prove(RAW + b" ", HEADER, SECRET.fingerprint, secrets=(OTHER, SECRET))
    assert proof == Proof(Verdict.DOES_NOT_MATCH, YEARS_AGO)


def test_a_secret_that_is_not_here_is_told_apart_from_bytes_that_changed() -> None:
    for secrets in ((OTHER,), ()):
        proof = prove(RAW, HEADER, SECRET.fingerprint, secrets=secrets)
        assert proof == Proof(Verdict.KEY_NOT_CONFIGURED, YEARS_AGO)


def test_any_secret_here_proves_whatever_fingerprint_was_kept() -> None:
    assert prove(RAW, HEADER, "lost", secrets=(SECRET,)).proved_by == SECRET.fingerprint


def test_what_is_no_signature_is_said_to_be_none() -> None:
    for kept in ("", "-", "t=1,v1=short", f"t=\N{FULLWIDTH DIGIT ONE},v1={'0' * 64}"):
        assert prove(RAW, kept, SECRET.fingerprint, secrets=(SECRET,)) == Proof(Verdict.NO_SIGNATURE, None)


def test_a_signature_from_beyond_the_calendar_is_proved_without_a_time() -> None:
    header = sign(RAW, secret=SECRET, timestamp=999_999_999_999)
    assert signed_at(header) is None
    assert prove(RAW, header, SECRET.fingerprint, secrets=(SECRET,)).verdict is Verdict.PROVED
