"""Where does a list go on? A cursor holds the key of the last row that was seen, so that no row comes twice or never.

It also names its list, so that one of another list is refused. It is no secret and proves nothing: each part is checked
when it is read.
"""

import base64
import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from ingress.api.inputs import MAX_ID
from shared.errors import KessaiError
from shared.ledger.text import is_unicode

Maker: TypeAlias = Callable[[str], object]
"""Makes a part of a key from its text; raises ValueError."""

_NUMBER = re.compile("[0-9]{1,19}", re.ASCII)


class InvalidCursor(KessaiError):
    """Text that is no cursor of this list."""


def write(of: str, key: Sequence[object]) -> str:
    """A cursor of the list `of`, behind the row with this key."""
    text = json.dumps([of, *map(str, key)], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def read(cursor: str, of: str, makers: Sequence[Maker]) -> tuple[Any, ...]:
    """The key in a cursor of the list `of`. Raises InvalidCursor."""
    try:
        parts = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True).decode())
        if not isinstance(parts, list) or parts[:1] != [of] or not all(isinstance(part, str) for part in parts):
            raise ValueError
        return tuple(make(part) for make, part in zip(makers, parts[1:], strict=True))
    except (ValueError, RecursionError, OverflowError):
        raise InvalidCursor("this is no cursor of this list: begin the list anew") from None


def moment(text: str) -> datetime:
    made = datetime.fromisoformat(text)
    if made.tzinfo is None:
        raise ValueError("a time without its zone")
    return made


def number(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > MAX_ID:
        raise ValueError("no number of a row")
    return int(text)


def name(text: str) -> str:
    if "\0" in text or not is_unicode(text):
        raise ValueError("no name of a row")
    return text
