"""What does a webhook body say happened? (SDRP webhooks, event envelope)

Stricter than the official SDK 0.5.7: the four strings must be strings (the SDK turns numbers into text), at most
255 characters, and without NUL; the JSON must be one that every reader understands alike (no NaN, no lone surrogate,
no nesting beyond 1024).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import orjson

from shared.errors import KessaiError

CONFIRMED = "direct_payment.confirmed"
SPENT = "direct_payment.spent"
READINESS_PROBE = "readiness_probe"

MAX_TEXT = 255
"""Characters of an id, type, api_version or occurred_at."""


class Malformed(StrEnum):
    """The first rule that a body breaks, in the order they are tested."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_ID = "missing_id"
    ID_NOT_TEXT = "id_not_text"
    BLANK_ID = "blank_id"
    ID_TOO_LONG = "id_too_long"
    NUL_IN_ID = "nul_in_id"
    MISSING_TYPE = "missing_type"
    TYPE_NOT_TEXT = "type_not_text"
    BLANK_TYPE = "blank_type"
    TYPE_TOO_LONG = "type_too_long"
    NUL_IN_TYPE = "nul_in_type"
    MISSING_API_VERSION = "missing_api_version"
    API_VERSION_NOT_TEXT = "api_version_not_text"
    BLANK_API_VERSION = "blank_api_version"
    API_VERSION_TOO_LONG = "api_version_too_long"
    NUL_IN_API_VERSION = "nul_in_api_version"
    MISSING_OCCURRED_AT = "missing_occurred_at"
    OCCURRED_AT_NOT_TEXT = "occurred_at_not_text"
    BLANK_OCCURRED_AT = "blank_occurred_at"
    OCCURRED_AT_TOO_LONG = "occurred_at_too_long"
    NUL_IN_OCCURRED_AT = "nul_in_occurred_at"
    MISSING_DATA = "missing_data"
    DATA_NOT_AN_OBJECT = "data_not_an_object"


class MalformedEvent(KessaiError):
    """Bytes that are no SDRP event; the same bytes will never be one."""

    def __init__(self, reason: Malformed, event_id: str | None = None) -> None:
        named = f" {event_id!r}" if event_id is not None else ""
        super().__init__(f"malformed event{named}: {reason}; ask Siglume to send it again, or set it aside")
        self.reason = reason
        self.event_id = event_id
        """The id, when it is itself usable, so that the dead letter can name the event."""


class Event(NamedTuple):
    """A webhook event whose envelope is in order; the four strings are trimmed and never blank."""

    id: str
    type: str
    api_version: str
    occurred_at: str
    """As sent; whether it is a time has not been checked."""
    data: Mapping[str, Any]


def parse(raw: bytes) -> Event:
    """Raises MalformedEvent, and nothing else, for whatever is no event."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise MalformedEvent(Malformed.NOT_JSON) from None
    if not isinstance(body, dict):
        raise MalformedEvent(Malformed.NOT_AN_OBJECT)
    event_id = _text(body, "id", None)
    event_type = _text(body, "type", event_id)
    api_version = _text(body, "api_version", event_id)
    occurred_at = _text(body, "occurred_at", event_id)
    data = body.get("data")
    if not isinstance(data, dict):
        raise MalformedEvent(Malformed.MISSING_DATA if data is None else Malformed.DATA_NOT_AN_OBJECT, event_id)
    return Event(event_id, event_type, api_version, occurred_at, data)


def ignored_because(event: Event) -> Literal["readiness_probe", "direct_payment.spent"] | None:
    """Why an event is recorded and has no effect, if so; such an event is never a review."""
    if event.type == SPENT:
        return "direct_payment.spent"
    if event.type != CONFIRMED:
        return None
    data = event.data
    if data.get("readiness_probe") is True or data.get("mode") == READINESS_PROBE:
        return "readiness_probe"
    return None


def is_storable(text: str) -> bool:
    """Whether Postgres can keep the text and index it."""
    return len(text) <= MAX_TEXT and "\0" not in text


def _text(body: Mapping[str, Any], name: str, event_id: str | None) -> str:
    value = body.get(name)
    if isinstance(value, str):
        text = value.strip()
        if text and is_storable(text):
            return text
    raise MalformedEvent(_fault_of_text(value, name), event_id)


def _fault_of_text(value: object, name: str) -> Malformed:
    if value is None:
        return Malformed(f"missing_{name}")
    if not isinstance(value, str):
        return Malformed(f"{name}_not_text")
    text = value.strip()
    if not text:
        return Malformed(f"blank_{name}")
    return Malformed(f"{name}_too_long" if len(text) > MAX_TEXT else f"nul_in_{name}")
