"""Generated webhook bodies: what we read is what the official SDK reads, but for the exceptions named here."""

import json
import re
from random import Random
from typing import Any

from siglume_direct_request_payment import build_webhook_signature_header, verify_direct_request_payment_webhook

from shared.sdrp.events import Event, Malformed, MalformedEvent, parse
from tests.unit.sdrp.oracle import BODIES, accepts, compare

SECRET, NOW = "whsec_test", 1_790_000_000
ABSENT = object()
SOUND: dict[str, Any] = {
    "id": "evt_1",
    "type": "direct_payment.confirmed",
    "api_version": "2026-05-01",
    "occurred_at": "2026-11-20T12:00:00Z",
    "data": {"mode": "external_402", "amount_minor": 1200},
}
TEXTS = tuple(name for name in SOUND if name != "data")
VALUES: tuple[Any, ...] = (
    *("", " ", "\t\n", "\u3000", "\u2003x\u2003", " evt_2 ", "é決済", "\x1f", "x\x00y", "\x00", "\ud800", "\udfff"),
    *("a" * 255, "a" * 256, " " + "a" * 255 + " ", "a" * 10_000, "😀" * 255, "😀" * 256, "\ufeffx", "\u200b", "null"),
    *(None, ABSENT, True, False, 0, 1, -1, 2**70, 1.5, float("nan"), float("inf"), [], ["evt"], {}, {"id": "evt"}),
)
DATA: tuple[Any, ...] = (
    *({}, {"data": {}}, {"x": "\x00"}, {"x": 2**70}, {"x": float("nan")}, {"x": -float("inf")}, {"\udc00": 1}),
    *(None, ABSENT, [], [{}], "", "{}", 0, 1, True, False, {"x": [[[]]]}, {"x": 1e308}, {"é": "\ud83d\ude00"}),
)
BROKEN = (
    b"",
    b" ",
    b"\xef\xbb\xbf",
    b"\xff",
    b"{",
    b"}",
    b"nul",
    b"'",
    b"//",
    b"\x00",
    b"{}",
    b"[]",
    b"1",
    b'"\xed\xa0\x80"',
)
DEEP = b'{"data":' * 2_000 + b"{}" + b"}" * 2_000
HUGE = b'{"id":"e","type":"t","api_version":"v","occurred_at":"o","data":{"x":' + b"9" * 5_000 + b"}}"


def body(changed: dict[str, Any], spelling: int, noise: bytes, random: Random) -> bytes:
    """One event, changed here and there, in one of the ways in which JSON can be written or spoilt."""
    event = {name: value for name, value in (SOUND | changed).items() if value is not ABSENT}
    text = json.dumps(event, ensure_ascii=spelling == 1, indent=2 if spelling == 2 else None)
    raw = text.encode(errors="surrogatepass")
    match spelling:
        case 3:  # a key given twice: the last one counts
            return b'{"id":"first","data":[],' + raw[1:]
        case 4:
            return random.choice((noise + raw, raw + noise, noise))
        case 5:
            where = random.randrange(len(raw))
            return raw[:where] + random.choice((noise + raw[where:], b""))
        case 6:
            return b" \r\n" + raw + b"\t"
        case _:
            return raw


def draw_body(random: Random) -> bytes:
    if random.random() < 0.02:
        return random.choice((DEEP, HUGE, *BROKEN))
    changed = [(random.choice(TEXTS), random.choice(VALUES)) for _ in range(random.choice((0, 0, 1, 1, 1, 2)))]
    if random.random() < 0.3:
        changed.append(("data", random.choice(DATA)))
    return body(dict(changed), random.choice((0, 0, 0, 0, 1, 2, 3, 4, 5, 6)), random.choice(BROKEN), random)


STRICTER = {
    "a number, true or an object where text is due": re.compile(r".*_not_text"),
    "longer than 255 characters": re.compile(r".*_too_long"),
    "NUL in a text": re.compile(r"nul_in_.*"),
    "NaN, an infinity, half a surrogate pair, too deep, or a number beyond any double": re.compile(r"not_json"),
}
"""The reasons with which we refuse what the SDK takes."""
UNCOMMON_JSON = re.compile(rb"NaN|Infinity|\\ud[89a-f]|\xed[\xa0-\xbf]|(\{\"data\":){1024}|[0-9]{400}")


def sdk_reads(raw: bytes) -> dict[str, Any] | None:
    header = build_webhook_signature_header(SECRET, raw, timestamp=NOW)
    verified = accepts(verify_direct_request_payment_webhook, SECRET, raw, header, now=NOW)
    return None if verified is None else verified["event"]


def check(raw: bytes) -> str:
    theirs = sdk_reads(raw)
    try:
        event = parse(raw)
    except MalformedEvent as malformed:
        return malformed.reason if theirs is None else check_stricter(raw, malformed.reason)
    assert theirs is not None, raw
    assert event == Event(**{name: theirs[name] for name in (*TEXTS, "data")})
    return "accepted"


def check_stricter(raw: bytes, reason: Malformed) -> str:
    named = [name for name, reasons in STRICTER.items() if reasons.fullmatch(reason)]
    assert named, (raw, reason)
    if reason is Malformed.NOT_JSON:
        assert UNCOMMON_JSON.search(raw), raw
    return f"stricter: {named[0]}"


def test_every_generated_body_is_read_as_the_sdk_reads_it_or_refused() -> None:
    seen = compare(draw_body, BODIES, check)

    wanted = {"accepted"} | {f"stricter: {name}" for name in STRICTER}
    wanted |= {reason.value for reason in Malformed if "_too_long" not in reason and "nul_in" not in reason}
    assert {name for name in wanted if seen[name] < 20} == set()
