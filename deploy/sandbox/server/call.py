"""What does a call ask for, and what is it answered? One shape for every route of the API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from deploy.sandbox.core.people import bearer, caller
from deploy.sandbox.core.platform import Platform
from deploy.sandbox.core.refusal import Refused, invalid

META = {"request_id": "req_sandbox", "trace_id": "trc_sandbox"}


@dataclass(frozen=True)
class Call:
    platform: Platform
    root_url: str
    authorization: str | None
    path: Mapping[str, str]
    query: Mapping[str, str]
    raw: bytes

    @cached_property
    def user(self) -> str:
        """Whose token it carries. Raises Refused."""
        return caller(self.authorization)

    @property
    def token(self) -> str:
        """Raises Refused."""
        return bearer(self.authorization)

    @cached_property
    def body(self) -> dict[str, Any]:
        """An empty body is an empty object. Raises Refused."""
        try:
            found = orjson.loads(self.raw) if self.raw.strip() else {}
        except orjson.JSONDecodeError:
            raise invalid("the body is no JSON", code="INVALID_JSON") from None
        if not isinstance(found, dict):
            raise invalid("the body must be a JSON object", code="INVALID_JSON")
        return found


class Answer(NamedTuple):
    data: object
    status: int = 200


class File(NamedTuple):
    text: str
    name: str


Handler = Callable[[Call], Answer | File]


class Route(NamedTuple):
    method: str
    path: str
    handler: Handler


async def read_call(request: web.Request, platform: Platform, root_url: str) -> Call:
    return Call(
        platform=platform,
        root_url=root_url,
        authorization=request.headers.get("Authorization"),
        path=request.match_info,
        query=dict(request.query),
        raw=await request.read(),
    )


def respond(answer: Answer | File) -> web.Response:
    if isinstance(answer, File):
        disposition = {"Content-Disposition": f'attachment; filename="{answer.name}"'}
        return web.Response(text=answer.text, content_type="text/csv", headers=disposition)
    return _json({"data": answer.data, "meta": META}, answer.status)


def refuse(refused: Refused, *, headers: Mapping[str, str] | None = None) -> web.Response:
    error: dict[str, object] = {"code": refused.code, "message": str(refused)}
    if refused.details is not None:
        error["details"] = dict(refused.details)
    return _json({"error": error, "meta": META}, refused.status, headers)


def _json(value: object, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=headers)
