"""How does a page write a value? Times in UTC, amounts in their currency, strange characters visible."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import NamedTuple
from urllib.parse import quote, urlencode

from markupsafe import Markup

from shared.ledger.revenue.money import plain
from shared.sdrp.money import Currency

_WHOLE = re.compile("[0-9]{1,16}", re.ASCII)
_EXACTLY = Context(prec=100)
SHOWN_BYTES = 16 * 1024
"""Of a body on a page."""


def link(path: str, **query: object) -> str:
    """A local address; what is None is left out. Ids go into the query: any text may be an id, `..` and `/` too."""
    given = {name: value for name, value in query.items() if value is not None and value != ""}
    return f"{path}?{urlencode(given, quote_via=quote)}" if given else path


def when(moment: datetime | None) -> str | Markup:
    """To the second, in UTC."""
    if moment is None:
        return Markup('<span class="none">–</span>')
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{} <b>{}</b></time>').format(
        utc.isoformat().replace("+00:00", "Z"), f"{utc:%Y-%m-%d}", f"{utc:%H:%M:%S}"
    )


def span(seconds: float) -> str:
    """`4 s`, `12 min`, `3 h 20 min`, `5 days`: as exact as somebody wants to know it."""
    if seconds < 0:
        return "0 s"
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest and hours < 10 else f"{hours} h"
    return f"{hours // 24} days"


def lasted(seconds: float) -> str:
    """How long a step took: below ten seconds in milliseconds, else as `span`."""
    return f"{seconds * 1000:,.0f} ms" if seconds < 10 else span(round(seconds))


def percent(share: Decimal) -> str:
    return f"{plain(share * 100)}%"


def count(number: float) -> str:
    return f"{number:,}"


def figure(minor: int | Decimal, currency: str) -> str:
    """Minor units as people write them, to the last digit: `1,200` yen, `12.34` and `0.002` dollars."""
    exact = Decimal(minor).scaleb(-2, _EXACTLY) if currency == Currency.USD else Decimal(minor)
    whole, _, rest = f"{exact:,f}".partition(".")
    rest = rest.rstrip("0").ljust(2 if currency == Currency.USD else 0, "0")
    return f"{whole}.{rest}" if rest else whole


def amount(minor: int | Decimal, currency: str) -> str:
    """The same with its unit: `1,200 JPY`, `12.34 USD`."""
    unit = currency if currency in set(Currency) else f"minor units of {currency}"
    return f"{figure(minor, currency)} {unit}"


def amount_said(fields: Mapping[str, object]) -> str | None:
    """The amount that an event or an order tells, when both of its fields can be read."""
    minor, currency = str(fields.get("amount_minor")), fields.get("currency")
    if not _WHOLE.fullmatch(minor) or currency not in list(Currency):
        return None
    return amount(int(minor), str(currency))


def words(name: str) -> str:
    """`unknown_challenge_hash` as people read it."""
    return name.replace("_", " ").replace(":", ": ")


class Piece(NamedTuple):
    text: str
    is_strange: bool
    """A character that cannot be seen or that steers how others are shown, written as its code."""


def pieces(text: str) -> list[Piece]:
    """`text` in runs of plain and of strange characters."""
    return list(_pieces(text))


def _pieces(text: str) -> Iterator[Piece]:
    plain: list[str] = []
    for character in text:
        if character == "\n" or _is_plain(character):
            plain.append(character)
            continue
        if plain:
            yield Piece("".join(plain), is_strange=False)
            plain.clear()
        yield Piece(_code(character), is_strange=True)
    if plain:
        yield Piece("".join(plain), is_strange=False)


def _is_plain(character: str) -> bool:
    """Letters, marks, numbers, signs and the plain blank; no control, format, private or unassigned characters."""
    return character == " " or unicodedata.category(character)[0] not in "CZ"


def _code(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:  # a byte that is no UTF-8, as surrogateescape decodes it
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


class Body(NamedTuple):
    pieces: list[Piece]
    bytes: int
    """Of the whole body."""
    shown: int
    """Bytes of it that the pieces show."""


def body(raw: bytes) -> Body:
    """Raw bytes as text: whatever is no plain character of UTF-8 is written as its code."""
    shown = raw[:SHOWN_BYTES]
    return Body(pieces(shown.decode("utf-8", "surrogateescape")), len(raw), len(shown))
