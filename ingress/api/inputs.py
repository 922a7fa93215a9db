"""Reads the path, query and body of a call strictly into one frozen model.

Unknown names, names given twice and values of another type are refused by name: what a script means and what is done
must not drift apart in silence. Paths and queries hold text, from which numbers and times are read; bodies hold JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

from aiohttp import hdrs, web
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ingress.api.problems import INVALID, TOO_LARGE, UNSUPPORTED, Fault, Refused

BODY_BYTES: Final = 64 * 1024
JSON: Final = "application/json"
MAX_ID: Final = 2**63 - 1
MAX_LIMIT: Final = 500
UNREAD: Final = {"Connection": "close"}
"""The header of an answer that did not read the body: no further call may come on this connection."""
MAX_FAULTS: Final = 20
"""Faults of one request that the answer lists."""

_NUMBER = re.compile("[0-9]{1,19}", re.ASCII)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


class Input(BaseModel):
    """The parameters of an operation. Fields that its path does not name are its query or, of an act, its body."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Nothing(Input):
    """No parameters."""


Params = TypeVar("Params", bound=Input)


def number(value: object) -> object:
    """Read a number of a path or query; `int` alone would accept 1_000, +17 and wide digits. Raises ValueError."""
    if not isinstance(value, str):
        return value
    if not _NUMBER.fullmatch(value):
        raise ValueError("must be a whole number in plain digits")
    return int(value)


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("must be a time of RFC 3339, as 2026-11-20T09:00:00Z")
    return datetime.fromisoformat(value.upper())


Text = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]+$")]
Id = Annotated[int, BeforeValidator(number), Field(ge=1, le=MAX_ID)]
"""A number in a path."""
Number = Annotated[int, Field(ge=1, le=MAX_ID)]
"""A number in a body, where text is not accepted."""
Version = Annotated[int, Field(ge=1, le=2**31 - 1, description="Which one was seen: refused when it changed since.")]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
EndpointName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")]
Since = Annotated[Moment | None, Field(description="From this time on.")]
Until = Annotated[Moment | None, Field(description="Before this time, which is not included.")]


class Paged(Input):
    """A list, read page by page."""

    limit: Annotated[int, BeforeValidator(number), Field(ge=1, le=MAX_LIMIT, description="Items at most.")] = 50
    cursor: Annotated[
        str | None,
        Field(pattern="^[A-Za-z0-9_=-]{1,4096}$", description="Where to go on: `next_cursor` of the page before."),
    ] = None


async def read(model: type[Params], request: web.Request) -> Params:
    """Raises Refused."""
    _require_text(request.raw_path)
    path = dict(request.match_info)
    given = _query(request) if request.method == hdrs.METH_GET else await _body(request)
    taken = [*(path.keys() & given.keys())]
    if taken:
        raise invalid([Fault(name, "is given by the path already") for name in sorted(taken)])
    try:
        return model.model_validate_json(json.dumps(path | given))
    except ValidationError as error:
        raise invalid(list(_faults(error))) from None
    except RecursionError:
        raise Refused(INVALID, "The body is nested too deeply.") from None


def _require_text(path: str) -> None:
    """Refuse a path that is not UTF-8: otherwise one name could be written in two ways. Raises Refused."""
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise Refused(INVALID, "The path or the query is not UTF-8.") from None


def invalid(faults: Sequence[Fault]) -> Refused:
    detail = "; ".join(f"{fault.field}: {fault.message}" for fault in faults[:MAX_FAULTS])
    return Refused(INVALID, detail, faults=faults[:MAX_FAULTS])


def _query(request: web.Request) -> dict[str, Any]:
    """Raises Refused for a name that is given twice."""
    twice = sorted(name for name in set(request.query) if len(request.query.getall(name)) > 1)
    if twice:
        raise invalid([Fault(name[:100], "is given more than once") for name in twice])
    return dict(request.query)


async def _body(request: web.Request) -> dict[str, Any]:
    """The JSON object of an act; an empty body counts as an empty object. Raises Refused."""
    if request.query:
        raise invalid([Fault(name[:100], "an act takes no query: send it in the body") for name in set(request.query)])
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise Refused(
            UNSUPPORTED, "Send the body without Content-Encoding.", headers=UNREAD | {"Accept-Encoding": "identity"}
        )
    raw = await _bytes(request)
    if not raw:
        return {}
    if request.content_type != JSON:
        raise Refused(UNSUPPORTED, "Send the body as application/json.", headers={"Accept": JSON})
    return _object(raw)


async def _bytes(request: web.Request) -> bytes:
    """The whole body within the limit; a chunked body does not say its length beforehand. Raises Refused."""
    raw, length = bytearray(), request.content_length or 0
    while length <= BODY_BYTES:
        chunk = await request.content.readany()
        if not chunk:
            return bytes(raw)
        raw += chunk
        length = max(length, len(raw))
    raise Refused(TOO_LARGE, "A body is 64 KiB at most. Nothing was done.", headers=UNREAD)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_each_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(INVALID, "The body cannot be read as JSON.") from None
    if not isinstance(value, dict):
        raise Refused(INVALID, "The body must be one JSON object.")
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise invalid([Fault(name[:100], "is given more than once") for name in made if names.count(name) > 1])
    return made


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _faults(error: ValidationError) -> Iterator[Fault]:
    """The faults without the values, which may be secrets in the wrong field."""
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part) for part in each["loc"]) or "request"
        if each["type"] == "extra_forbidden":
            yield Fault(where[:100], "there is no such field")
        elif each["type"] == "json_invalid":
            yield Fault(where[:100], "is nested too deeply, or holds half a character")
        else:
            yield Fault(where[:100], each["msg"].removeprefix("Value error, "))


def is_optional(schema: Mapping[str, Any]) -> bool:
    """Whether an empty object satisfies a model's JSON schema."""
    return not schema.get("required")
