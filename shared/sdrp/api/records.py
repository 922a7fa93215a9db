"""Is a JSON object of the platform what it should be? Each field is read once, here.

Unknown fields are ignored and null is as good as missing. Text is trimmed, as webhooks are read, and fits Postgres:
no NUL, and no longer than the books keep. Amounts are exact: decimal text, or JSON numbers as they are written, never
a binary float. Errors name the field and never repeat its value.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from pydantic import SecretStr

from shared.sdrp.api import urls
from shared.sdrp.api.errors import InvalidCall, UnusableAnswer
from shared.sdrp.api.exact_json import Fraction
from shared.sdrp.events import MAX_TEXT
from shared.sdrp.money import MAX_SAFE_INTEGER, InvalidAmount, parse_minor

MAX_NOTE = 500
"""Characters of a sentence for people; what is longer is cut."""
MAX_CURSOR = 4096
MAX_LIST = 10_000
MAX_DIGITS = 30
"""Of an amount, on either side of its point, before anybody writes out an exponent."""

T = TypeVar("T")


class Record:
    """One JSON object, and what it is called in errors: `items[3]`."""

    __slots__ = ("fields", "where")

    def __init__(self, value: object, where: str) -> None:
        """Raises UnusableAnswer unless the value is a JSON object."""
        if not isinstance(value, dict):
            raise UnusableAnswer(f"{where} of Siglume's answer is {_kind(value)}, not an object: report it to Siglume")
        self.fields: Final[Mapping[str, Any]] = value
        self.where: Final = where

    def text(self, name: str, longest: int = MAX_TEXT) -> str:
        found = self.text_or_none(name, longest)
        if found is None:
            raise self.fault(name, "is missing")
        return found

    def text_or_none(self, name: str, longest: int = MAX_TEXT) -> str | None:
        value = self.fields.get(name)
        if value is None:
            return None
        if type(value) is not str:
            raise self.fault(name, f"is {_kind(value)}, not text")
        trimmed = value.strip()
        if len(trimmed) > longest:
            raise self.fault(name, f"is longer than {longest} characters")
        if "\0" in trimmed:
            raise self.fault(name, "holds a NUL character")
        return trimmed or None

    def note(self, name: str) -> str | None:
        """A sentence for people: cut where it is long, control characters taken out."""
        value = self.fields.get(name)
        if value is None:
            return None
        if type(value) is not str:
            raise self.fault(name, f"is {_kind(value)}, not text")
        printable = "".join(c if c.isprintable() else " " for c in value[:MAX_NOTE])
        return printable.strip() or None

    def amount(self, name: str) -> Decimal:
        """Minor units."""
        found = self.amount_or_none(name)
        if found is None:
            raise self.fault(name, "is missing")
        return found

    def amount_or_none(self, name: str) -> Decimal | None:
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        written = _written(value)
        if written is None:
            raise self.fault(name, f"is {_kind(value)}, not an amount")
        try:
            return parse_minor(written)
        except InvalidAmount:
            raise self.fault(name, "is no plain decimal number of minor units") from None

    def integer(self, name: str) -> int:
        found = self.integer_or_none(name)
        if found is None:
            raise self.fault(name, "is missing")
        return found

    def integer_or_none(self, name: str) -> int | None:
        """A whole number that every reader of JSON understands alike."""
        value = self.fields.get(name)
        if value is None:
            return None
        if type(value) is not int or abs(value) > MAX_SAFE_INTEGER:
            raise self.fault(name, f"is {_kind(value)}, not a whole number up to {MAX_SAFE_INTEGER}")
        return value

    def flag(self, name: str) -> bool:
        found = self.flag_or_none(name)
        if found is None:
            raise self.fault(name, "is missing")
        return found

    def flag_or_none(self, name: str) -> bool | None:
        value = self.fields.get(name)
        if value is not None and type(value) is not bool:
            raise self.fault(name, f"is {_kind(value)}, not true or false")
        return value

    def time_or_none(self, name: str) -> datetime | None:
        """A moment; one without a zone is UTC."""
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is UTC:
                return moment
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            raise self.fault(name, "is no time such as 2026-11-20T12:00:00Z") from None

    def url_or_none(self, name: str) -> str | None:
        """https, or http on a loopback host: a page that a buyer may be sent to."""
        found = self.text_or_none(name, urls.MAX_URL)
        if found is None:
            return None
        try:
            return urls.page_url(found, name)
        except InvalidCall:
            raise self.fault(name, "is no page that a person may be sent to") from None

    def secret_or_none(self, name: str) -> SecretStr | None:
        found = self.text_or_none(name, 8192)
        return None if found is None else SecretStr(found)

    def object_or_none(self, name: str) -> Mapping[str, Any] | None:
        """Returned unchanged, for callers that know more than this client."""
        value = self.fields.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.fault(name, f"is {_kind(value)}, not an object")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Empty when it is missing."""
        items = self._list(name) or []
        return tuple(Record({"item": item}, f"{self.where}.{name}[{n}]").text("item") for n, item in enumerate(items))

    def records(self, name: str, read: Callable[["Record"], T]) -> tuple[T, ...]:
        """Every object of a list that must be there."""
        items = self._list(name)
        if items is None:
            raise self.fault(name, "is missing")
        return read_all(items, f"{self.where}.{name}", read)

    def first_of(self, *names: str) -> str:
        """The first of several names for one field that is given; the first of all when none is."""
        fields = self.fields
        for name in names:
            if fields.get(name) is not None:
                return name
        return names[0]

    def fault(self, name: str, problem: str) -> UnusableAnswer:
        return UnusableAnswer(f"Siglume's answer cannot be used: {self.where}.{name} {problem}; report it to Siglume")

    def _list(self, name: str) -> list[object] | None:
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) > MAX_LIST:
            raise self.fault(name, f"is {_kind(value)}, not a list of at most {MAX_LIST}")
        return value


def read_all(items: list[object], where: str, read: Callable[[Record], T]) -> tuple[T, ...]:
    return tuple([read(Record(item, f"{where}[{number}]")) for number, item in enumerate(items)])


def _written(value: object) -> str | None:
    """Text of an amount; None where it is none. A JSON number may have an exponent, which text may not."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    if type(value) is not Fraction:
        return None
    try:
        number = Decimal(value.written)
    except InvalidOperation:  # an exponent that no decimal has
        return value.written
    return format(number, "f") if abs(number.adjusted()) <= MAX_DIGITS else value.written


def _kind(value: object) -> str:
    """What JSON calls it."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number"}
    return "missing" if value is None else names.get(type(value), "a number with a fraction")
