"""Which values may be sent? Each check takes a value and its name, and returns what is sent.

As the official SDK 0.5.7 normalises them. Stricter: text must be text and a flag a flag (the SDK turns `"false"` into
true, and numbers into text), a limit is at most what the platform documents, and metadata holds no NaN.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from shared.sdrp import challenge
from shared.sdrp.api import urls
from shared.sdrp.api.errors import InvalidCall
from shared.sdrp.money import MAX_SAFE_INTEGER
from shared.sdrp.text import nonce_text, required_text

Value = Any
"""Anything that a caller may have given: it is not checked yet."""
Check = Callable[[Value, str], object]

_TOKENS = {"JPY": "JPYC", "USD": "USDC"}


def checked(values: Mapping[str, Value], checks: Mapping[str, Check]) -> dict[str, object]:
    """The checked values that are not None, in the order of the checks. Raises InvalidCall."""
    for name in values.keys() - checks.keys():
        raise InvalidCall(f"{name} is no parameter of this call: leave it out")
    return {name: check(values[name], name) for name, check in checks.items() if values.get(name) is not None}


def text(value: Value, name: str) -> str:
    """The text, trimmed and not blank."""
    return required_text(value, name, InvalidCall)


def positive_integer(value: Value, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_SAFE_INTEGER:
        raise InvalidCall(f"{name} must be a whole number from 1 to {MAX_SAFE_INTEGER}")
    return int(value)


def limit(most: int) -> Check:
    """Rows of a page: 1 to `most`."""

    def check(value: Value, name: str) -> int:
        if positive_integer(value, name) > most:
            raise InvalidCall(f"{name} must be at most {most}: the platform gives no more in one page")
        return int(value)

    return check


def flag(value: Value, name: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidCall(f"{name} must be True or False, not {type(value).__name__}")
    return value


def json_object(value: Value, name: str) -> dict[str, object]:
    """A copy of a mapping that JSON can represent exactly."""
    if not isinstance(value, Mapping):
        raise InvalidCall(f"{name} must be a JSON object, not {type(value).__name__}")
    try:
        written = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
        written.encode()
    except (TypeError, ValueError, RecursionError):  # UnicodeEncodeError is a ValueError
        raise InvalidCall(f"{name} cannot be written as JSON: use text, numbers, lists and objects") from None
    copy: dict[str, object] = json.loads(written)
    return copy


def texts(value: Value, name: str) -> list[str]:
    if not isinstance(value, list | tuple):
        raise InvalidCall(f"{name} must be a list of text, not {type(value).__name__}")
    return [text(item, f"each of {name}") for item in value]


def one_of(*allowed: str) -> Check:
    """One of a few words, in upper or lower case."""

    def check(value: Value, name: str) -> str:
        word = text(value, name).lower()
        if word not in allowed:
            raise InvalidCall(f"{name} must be one of {', '.join(allowed)}")
        return word

    return check


billing_plan = one_of("launch", "starter", "growth", "pro", "free")
metered_plan = one_of("micro", "nano")


def merchant(value: Value, name: str) -> str:
    return challenge.normalize_merchant(text(value, name))


def own_merchant(value: Value, name: str) -> str:
    """The key of a merchant who sets it up: shorter, and without dots."""
    key = merchant(value, name)
    if not 3 <= len(key) <= 64 or "." in key:
        raise InvalidCall(f"{name} must be 3 to 64 of a-z, 0-9, underscore and hyphen")
    return key


def currency(value: Value, name: str) -> str:
    return str(challenge.normalize_currency(text(value, name)))


def token_symbol(value: Value, name: str) -> str:
    symbol = text(value, name).upper()
    if symbol not in _TOKENS.values():
        raise InvalidCall(f"{name} must be JPYC or USDC")
    return symbol


def currencies(value: Value, name: str) -> dict[str, str]:
    """The token of each currency; a list means each currency's own."""
    if isinstance(value, Mapping):
        found = {currency(key, name): token_symbol(token, name) for key, token in value.items()}
    elif isinstance(value, list | tuple):
        codes = [currency(item, name) for item in value]
        found = {code: _TOKENS[code] for code in codes}
    else:
        raise InvalidCall(f"{name} must be a list of currencies, or a mapping of currency to token")
    if not found:
        raise InvalidCall(f"{name} names no currency: leave it out, or name JPY or USD")
    return found


def nonce(value: Value, name: str) -> str:
    return nonce_text(value, name, InvalidCall)


def webhook_url(value: Value, name: str) -> str:
    return urls.webhook_url(text(value, name), name)


def page_url(value: Value, name: str) -> str:
    return urls.page_url(text(value, name), name)


def origins(value: Value, name: str) -> list[str]:
    """Each once, in the order given."""
    return list(dict.fromkeys(urls.origin(item, name) for item in texts(value, name)))


def path_segment(value: Value, name: str) -> str:
    """An id as one part of a path, percent-encoded: it can neither end the path nor leave it."""
    word = text(value, name)
    if word in {".", ".."}:
        raise InvalidCall(f"{name} is no id")
    return quote(word, safe="")
