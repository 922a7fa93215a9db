"""Turns the result of an operation into JSON: every field by its name, times in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import orjson
from aiohttp import hdrs, web

from ingress.api.inputs import JSON


@dataclass(frozen=True, slots=True)
class Made:
    """A thing that an act made, where the status is not simply 200."""

    thing: object
    status: int
    location: str
    retry_after: int | None = None
    """Seconds, where the thing is not ready yet."""


def answered(answer: object) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    if not isinstance(answer, Made):
        return _json(answer)
    headers: dict[str, str] = {hdrs.LOCATION: answer.location}
    if answer.retry_after is not None:
        headers[hdrs.RETRY_AFTER] = str(answer.retry_after)
    return _json(answer.thing, status=answer.status, headers=headers)


def _json(thing: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """The same JSON that the commands print with `--json`."""
    body = orjson.dumps(thing, default=_own_form, option=orjson.OPT_UTC_Z)
    return web.Response(status=status, body=body, content_type=JSON, headers=headers)


def _own_form(value: object) -> str:
    """asyncpg's ids are not those that orjson knows."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
