"""The signature rules, one by one."""

import hashlib
import hmac

import pytest

from shared.sdrp.signature import (
    MAX_HEADER,
    SignatureRefusal,
    SignatureRefused,
    SigningSecret,
    UnusableSecret,
    Verified,
    sign,
    verify,
)

NOW = 1_790_000_000
BODY = b'{"id":"evt_1","type":"direct_payment.confirmed"}'
SECRET = SigningSecret.from_text("whsec_test_secret")
OTHER = SigningSecret.from_text("whsec_the_next_one")
MADE_BY_THE_SDK = "t=1790000000,v1=432bfd4403e2f4b42b95d36b12ccc2f8423b0b5057c013546dcf24c633dce35e"
V1 = MADE_BY_THE_SDK.partition(",")[2]
FOREIGN_V1 = "v1=" + "0" * 64


def refusal(header: str | bytes, *, raw: bytes = BODY, secrets: tuple[SigningSecret, ...] = (SECRET,)) -> str:
    encoded = header.encode() if isinstance(header, str) else header
    with pytest.raises(SignatureRefused) as refused:
        verify(raw, encoded, secrets=secrets, now=NOW)
    return refused.value.reason


def test_a_header_made_by_the_official_sdk_verifies() -> None:
    assert verify(BODY, MADE_BY_THE_SDK.encode(), secrets=(SECRET,), now=NOW) == Verified(NOW, SECRET.fingerprint)


def test_we_sign_as_the_official_sdk_does() -> None:
    assert sign(BODY, secret=SECRET, timestamp=NOW) == MADE_BY_THE_SDK


def test_one_other_byte_is_refused() -> None:
    assert refusal(MADE_BY_THE_SDK, raw=BODY + b" ") == SignatureRefusal.NO_MATCH


def test_any_bytes_at_all_can_be_signed() -> None:
    raw = b"\xff\x00{not json"
    header = sign(raw, secret=SECRET, timestamp=NOW).encode()
    assert verify(raw, header, secrets=(SECRET,), now=NOW).timestamp == NOW


def test_a_header_is_read_up_to_the_length_that_is_kept() -> None:
    longest = f"{MADE_BY_THE_SDK},v9=".encode().ljust(MAX_HEADER, b"x")
    assert verify(BODY, longest, secrets=(SECRET,), now=NOW).timestamp == NOW
    assert refusal(longest + b"x") == SignatureRefusal.MALFORMED


@pytest.mark.parametrize("shift", [-300.9, -300, 0, 300, 300.9])
def test_a_clock_that_is_off_by_up_to_300_seconds_is_fine(shift: float) -> None:
    now = NOW + (shift if shift > 0 else int(shift))
    assert verify(BODY, MADE_BY_THE_SDK.encode(), secrets=(SECRET,), now=now).timestamp == NOW


@pytest.mark.parametrize("shift", [-301, 301, 86_400])
def test_a_clock_that_is_off_by_more_is_stale(shift: int) -> None:
    with pytest.raises(SignatureRefused) as refused:
        verify(BODY, MADE_BY_THE_SDK.encode(), secrets=(SECRET,), now=NOW + shift)
    assert refused.value.reason is SignatureRefusal.STALE


@pytest.mark.parametrize("header", ["", " ", "\t"])
def test_no_header_is_missing(header: str) -> None:
    assert refusal(header) == SignatureRefusal.MISSING


@pytest.mark.parametrize(
    "stamp",
    ["", " 1790000000", "+1790000000", "-1790000000", "1_790_000_000", "1790000000.0", "\uff11\uff17", "now", "9" * 13],
)
def test_t_must_be_1_to_12_ascii_digits(stamp: str) -> None:
    assert refusal(f"t={stamp},{V1}") == SignatureRefusal.MALFORMED


def test_twelve_digits_are_read_and_thirteen_are_not() -> None:
    assert refusal(f"t={'9' * 12},{V1}") == SignatureRefusal.STALE
    assert refusal(f"t={'9' * 13},{V1}") == SignatureRefusal.MALFORMED


@pytest.mark.parametrize("header", [V1, f"T={NOW},{V1}", f"t={NOW},t={NOW},{V1}", f"t={NOW},{V1},t=1", f"t={NOW};{V1}"])
def test_t_must_stand_exactly_once(header: str) -> None:
    assert refusal(header) == SignatureRefusal.MALFORMED


def test_the_literal_bytes_of_t_are_signed() -> None:
    literal = hmac.digest(SECRET.key, b"01790000000." + BODY, hashlib.sha256).hex()
    assert verify(BODY, f"t=01790000000,v1={literal}".encode(), secrets=(SECRET,), now=NOW).timestamp == NOW
    assert refusal(f"t=01790000000,{V1}") == SignatureRefusal.NO_MATCH


@pytest.mark.parametrize(
    "v1", [V1.upper().replace("V1", "v1"), V1[:-1], V1 + "0", V1.replace("=", "= "), "v1=", "v1=" + "g" * 64, "V1=00"]
)
def test_v1_must_be_64_lower_case_hex_digits(v1: str) -> None:
    assert refusal(f"t={NOW},{v1}") == SignatureRefusal.MALFORMED


def test_one_malformed_v1_spoils_a_good_one() -> None:
    assert refusal(f"t={NOW},{V1},v1=short") == SignatureRefusal.MALFORMED


@pytest.mark.parametrize("place", range(5))
def test_any_of_five_v1_may_match(place: int) -> None:
    entries = [FOREIGN_V1] * 5
    entries[place] = V1
    header = ",".join([f"t={NOW}", *entries]).encode()
    assert verify(BODY, header, secrets=(SECRET,), now=NOW).fingerprint == SECRET.fingerprint


def test_a_sixth_v1_is_refused_even_when_the_first_matches() -> None:
    assert refusal(",".join([f"t={NOW}", V1, *[FOREIGN_V1] * 5])) == SignatureRefusal.MALFORMED


def test_any_live_secret_may_match_and_is_named_by_its_fingerprint() -> None:
    header = sign(BODY, secret=OTHER, timestamp=NOW).encode()
    assert verify(BODY, header, secrets=(SECRET, OTHER), now=NOW) == Verified(NOW, OTHER.fingerprint)
    assert refusal(header, secrets=(SECRET,)) == SignatureRefusal.NO_MATCH


@pytest.mark.parametrize("noise", ["v0=abc", "v2=" + "0" * 64, "", "scheme", "x=y=z", "V1=abc", "t", "v1"])
def test_unknown_schemes_are_ignored(noise: str) -> None:
    for header in (f"{noise},{MADE_BY_THE_SDK}", f"t={NOW}, {noise} ,{V1}", f"{MADE_BY_THE_SDK},{noise}"):
        assert verify(BODY, header.encode(), secrets=(SECRET,), now=NOW).timestamp == NOW


@pytest.mark.parametrize("noise", [b"\x00", b"\xa0t=1", "鍵=1".encode(), b"\x7f", b"\r\nX: y"])
def test_a_header_that_is_not_printable_ascii_is_refused(noise: bytes) -> None:
    assert refusal(MADE_BY_THE_SDK.encode() + b"," + noise) == SignatureRefusal.MALFORMED


def test_without_any_secret_everything_is_refused() -> None:
    assert refusal(MADE_BY_THE_SDK, secrets=()) == SignatureRefusal.NO_SECRET


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u3000"])
def test_a_blank_secret_cannot_even_be_made(blank: str) -> None:
    with pytest.raises(UnusableSecret, match="blank"):
        SigningSecret.from_text(blank)
    with pytest.raises(UnusableSecret, match="blank"):
        SigningSecret(key=b" ", fingerprint="")


def test_a_secret_that_is_no_text_is_refused() -> None:
    with pytest.raises(UnusableSecret, match="UTF-8"):
        SigningSecret.from_text("whsec_\udcff")


def test_a_secret_is_trimmed_as_the_sdk_trims_it() -> None:
    assert SigningSecret.from_text(" whsec_test_secret\n") == SECRET


def test_a_secret_shows_only_its_fingerprint() -> None:
    assert repr(SECRET) == f"SigningSecret(fingerprint='{SECRET.fingerprint}')"
    assert SECRET.fingerprint == hashlib.sha256(b"whsec_test_secret").hexdigest()[:12]


def test_a_refusal_tells_neither_secret_nor_signature() -> None:
    with pytest.raises(SignatureRefused) as refused:
        verify(BODY, f"t={NOW},{FOREIGN_V1}".encode(), secrets=(SECRET,), now=NOW)
    assert "whsec" not in str(refused.value)
    assert FOREIGN_V1[3:] not in str(refused.value)
