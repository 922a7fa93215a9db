"""Generated signature headers: our verdict is the official SDK's, but for the exceptions named here."""

import hashlib
import hmac
import re
from collections.abc import Callable
from random import Random

import pytest
from siglume_direct_request_payment import verify_webhook_signature

from shared.sdrp.signature import SignatureRefusal, SignatureRefused, SigningSecret, Verified, verify
from tests.unit.sdrp.oracle import HEADERS, accepts, compare

NOW = 1_790_000_000
BODY = '{"id":"evt_1","名":"決済"}'.encode()
OLD, NEW, FOREIGN = "whsec_old", "whsec_new", "whsec_of_another_shop"
LIVE = (SigningSecret.from_text(OLD), SigningSecret.from_text(NEW))


def mac(secret: str, stamp: str) -> str:
    return hmac.new(secret.encode(), stamp.encode() + b"." + BODY, hashlib.sha256).hexdigest()


NOW_TEXT = str(NOW)
FULL_WIDTH = NOW_TEXT.translate({ord("0") + n: 0xFF10 + n for n in range(10)})
STAMPS = (
    *(NOW_TEXT,) * 6,
    *(str(NOW + shift) for shift in (-301, -300, 300, 301)),
    *("0", "1", "-1", "", "now", "1_790_000_000", f"+{NOW}", f" {NOW}", f"0{NOW}", f"00{NOW}", f"000{NOW}"),
    *(f"{NOW}.0", f"{NOW}\0", FULL_WIDTH, "9" * 13, f"-{NOW}", "²", "1e9", hex(NOW)),
)
SOUND_SIGNATURES = (mac(OLD, NOW_TEXT), mac(NEW, NOW_TEXT), mac(FOREIGN, NOW_TEXT))
SIGNATURES = (
    *(mac(OLD, NOW_TEXT), mac(NEW, NOW_TEXT)) * 4,
    *(mac(secret, str(NOW + shift)) for secret in (OLD, NEW) for shift in (-301, -300, 300, 301)),
    *(mac(FOREIGN, NOW_TEXT), mac(OLD, f"0{NOW}"), mac(OLD, f"00{NOW}"), mac(OLD, "1")),
    *(mac(OLD, NOW_TEXT).upper(), mac(OLD, NOW_TEXT)[:-1], mac(OLD, NOW_TEXT) + "0", f" {mac(OLD, NOW_TEXT)}"),
    *("", " ", "0" * 64, "g" * 64, "é" * 64, mac(OLD, NOW_TEXT)[:63] + "\uff11", "=", mac(OLD, NOW_TEXT) + "="),
)
OTHERS = (
    "v0=abc",
    "v2=" + "0" * 64,
    "",
    " ",
    "t",
    "v1",
    "=",
    "T=1",
    "V1=" + "0" * 64,
    "t =1",
    "v1 =x",
    "\xa0t=1",
    "鍵=1",
)

SEPARATORS = (*(",",) * 9, ", ", " , ", ",,", "\t,", ";", ",\x1c", ",\u2003")
LAYOUTS = (
    *("t v", "t v", "t v", "v t", "t o v", "t v o", "t v v", "t v v v", "t v v v v v"),
    *("t v v v v v v", "t v t", "o t v o o", "z", "z v"),
)


def draw_header(random: Random) -> str:
    """Mostly one fault at a time: the usual values outweigh the others."""
    entries = [draw_entry(random, kind) for kind in random.choice(LAYOUTS).split()]
    if random.random() < 0.05:
        entries = random.sample(entries, random.randrange(len(entries)))
    return random.choice(SEPARATORS).join(entries)


def draw_entry(random: Random, kind: str) -> str:
    if kind == "o":
        return random.choice(OTHERS)
    if kind == "z":
        return f"t=0{NOW},v1={mac(random.choice((OLD, NEW, FOREIGN)), random.choice(('0', '')) + NOW_TEXT)}"
    if kind == "t":
        return f"t={NOW if random.random() < 0.7 else random.choice(STAMPS)}"
    return f"v1={random.choice(SIGNATURES if random.random() < 0.4 else SOUND_SIGNATURES)}"


def values(header: str, scheme: str) -> list[str]:
    """What the SDK reads under a scheme, before it trims."""
    split = [entry.strip().partition("=") for entry in header.split(",")]
    return [value for name, sign, value in split if name == scheme and sign]


STRICTER: dict[str, Callable[[str], bool]] = {
    "t more than once": lambda header: len(values(header, "t")) > 1,
    "t is not 1 to 12 ASCII digits": lambda header: any(
        not re.fullmatch("[0-9]{1,12}", value) for value in values(header, "t")
    ),
    "a v1 is not 64 lower-case hex digits": lambda header: any(
        not re.fullmatch("[0-9a-f]{64}", value) for value in values(header, "v1")
    ),
    "more than five v1": lambda header: len(values(header, "v1")) > 5,
    "not printable ASCII": lambda header: not re.fullmatch("[\t -~]*", header),
}
"""Where we refuse whatever the SDK says."""


def ours(header: str) -> Verified | SignatureRefusal:
    try:
        return verify(BODY, header.encode(), secrets=LIVE, now=NOW)
    except SignatureRefused as refused:
        return refused.reason


def sdk_accepts(header: str) -> bool:
    """Whether the SDK does, asked with each live secret, as a merchant who rotates by hand would."""
    return any(accepts(verify_webhook_signature, secret, BODY, header, now=NOW) for secret in (OLD, NEW))


def check(header: str) -> str:
    verdict = ours(header)
    broken = [name for name, is_broken in STRICTER.items() if is_broken(header)]
    if broken:
        assert isinstance(verdict, SignatureRefusal), (header, broken)
        return f"stricter: {broken[0]}" if len(broken) == 1 and sdk_accepts(header) else str(verdict)
    stamp, given = values(header, "t"), values(header, "v1")
    if stamp and stamp[0].startswith("0") and len(stamp[0]) > 1:
        return check_literal_stamp(stamp[0], given, verdict)
    # The SDK reads only the last v1; rotation means that each is asked about alone.
    expected = any(sdk_accepts(f"t={stamp[0]},v1={one}") for one in given) if stamp else False
    assert isinstance(verdict, Verified) is expected, header
    if isinstance(verdict, Verified):
        assert verdict.timestamp == int(stamp[0])
        return "accepted" if sdk_accepts(header) else "rotation: another v1 than the last matches"
    return str(verdict)


def check_literal_stamp(stamp: str, given: list[str], verdict: Verified | SignatureRefusal) -> str:
    """The SDK signs `int(t)`, so leading zeros change what is signed: we take t literally."""
    literal = any(mac(secret, stamp) in given for secret in (OLD, NEW)) and abs(int(stamp) - NOW) <= 300
    assert isinstance(verdict, Verified) is literal
    if literal:
        return "literal t with leading zeros"
    canonical = any(sdk_accepts(f"t={stamp},v1={one}") for one in given)
    return "stricter: the literal bytes of t are signed" if canonical else str(verdict)


def test_every_generated_header_gets_the_sdks_verdict_or_a_stricter_one() -> None:
    seen = compare(draw_header, HEADERS, check)

    wanted = {"accepted", "rotation: another v1 than the last matches", "literal t with leading zeros"}
    wanted |= {"stricter: the literal bytes of t are signed"} | {f"stricter: {name}" for name in STRICTER}
    wanted |= {reason.value for reason in SignatureRefusal if reason is not SignatureRefusal.NO_SECRET}
    assert {name for name in wanted if seen[name] < 20} == set()


@pytest.mark.parametrize("secrets", [(OLD,), (NEW,)])
@pytest.mark.parametrize("shift", [-301, -300, 0, 300, 301])
def test_the_window_is_the_sdks(secrets: tuple[str], shift: int) -> None:
    header = f"t={NOW},v1={mac(secrets[0], NOW_TEXT)}"
    sdk = accepts(verify_webhook_signature, secrets[0], BODY, header, now=NOW + shift) is not None
    try:
        verify(BODY, header.encode(), secrets=LIVE, now=NOW + shift + 0.9)
        mine = True
    except SignatureRefused:
        mine = False
    assert mine is sdk is (abs(shift) <= 300)
