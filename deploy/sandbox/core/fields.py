"""What does a request's JSON hold? Each reader checks one field and refuses what could never be accepted."""

from collections.abc import Collection, Mapping
from typing import Any

from yarl import URL

from deploy.sandbox.core.refusal import invalid
from shared.sdrp.challenge import InvalidChallenge, normalize_currency
from shared.sdrp.money import Currency, InvalidAmount, positive_amount

Body = Mapping[str, Any]

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def require_known(body: Body, names: Collection[str], what: str) -> None:
    """Raises Refused when the body has a field of another name: it was misspelt, and would do nothing."""
    unknown = ", ".join(sorted(set(body) - set(names)))
    if unknown:
        raise invalid(f"{what} has no field {unknown}: it has {', '.join(names)}", code="UNKNOWN_FIELD")


def text(body: Body, name: str) -> str:
    """Trimmed. Raises Refused when it is absent, blank or no text."""
    found = optional_text(body, name)
    if found is None:
        raise invalid(f"{name} is required")
    return found


def optional_text(body: Body, name: str) -> str | None:
    """Trimmed; None when it is absent or null. Raises Refused when it is blank or no text."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > 2000:
        raise invalid(f"{name} must be text of 1 to 2000 characters")
    return value.strip()


def amount(body: Body, name: str = "amount_minor") -> int:
    """A positive safe integer. Raises Refused."""
    try:
        return positive_amount(body.get(name))  # type: ignore[arg-type] # the check itself is what is wanted
    except InvalidAmount as error:
        raise invalid(f"{name}: {error}") from None


def optional_amount(body: Body, name: str) -> int | None:
    return None if body.get(name) is None else amount(body, name)


def currency(body: Body, name: str = "currency") -> Currency:
    """Raises Refused."""
    try:
        return normalize_currency(text(body, name))
    except InvalidChallenge as error:
        raise invalid(str(error)) from None


def table(body: Body, name: str) -> dict[str, Any]:
    """A JSON object; empty when it is absent or null. Raises Refused."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object")
    return value


def texts(body: Body, name: str) -> tuple[str, ...] | None:
    """An array of texts; None when it is absent or null. Raises Refused."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise invalid(f"{name} must be an array of texts")
    return tuple(item.strip() for item in value)


def flag(body: Body, name: str) -> bool:
    return body.get(name) is True


def url(value: str, name: str) -> URL:
    """https, or http on this machine, without userinfo. Raises Refused."""
    try:
        found = URL(value)
        is_usable = found.scheme in ("http", "https") and bool(found.host) and not (found.user or found.password)
    except ValueError:
        is_usable = False
    if not is_usable or (found.scheme == "http" and found.host not in LOOPBACK):
        raise invalid(f"{name} must be an https URL, or http on localhost, without userinfo")
    return found


def origin(value: str, name: str) -> str:
    """`https://shop.example`, lower-cased, without a default port. Raises Refused."""
    return str(url(value, name).origin())
