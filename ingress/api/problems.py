"""Refusals of a call, as problem details (RFC 9457); each kind has a type of its own.

A message of the ledger is passed on; errors of Postgres or of Kessai itself are described without their text.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import asyncpg
from aiohttp import web

from shared.errors import DatabaseUnavailable, KessaiError
from shared.ledger.database import TransientConflict, UnacceptableRow

MEDIA_TYPE: Final = "application/problem+json"


class Kind(NamedTuple):
    """One kind of refusal."""

    status: HTTPStatus
    slug: str
    """Stable; `type` and `code` are made of it."""
    title: str

    @property
    def type(self) -> str:
        return f"urn:kessai:problem:{self.slug}"

    @property
    def code(self) -> str:
        """In the form of Siglume's own codes, some of which it is."""
        return self.slug.upper().replace("-", "_")


UNAUTHENTICATED: Final = Kind(HTTPStatus.UNAUTHORIZED, "unauthenticated", "No live token")
FORBIDDEN: Final = Kind(HTTPStatus.FORBIDDEN, "forbidden", "The user of this token may not do this")
NOT_FOUND: Final = Kind(HTTPStatus.NOT_FOUND, "not-found", "No such thing")
METHOD_NOT_ALLOWED: Final = Kind(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
CONFLICT: Final = Kind(HTTPStatus.CONFLICT, "conflict", "Not possible as things stand")
TOO_LARGE: Final = Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", "Body too large")
UNSUPPORTED: Final = Kind(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Not JSON")
INVALID: Final = Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "Not a request that can be carried out")
TOO_MANY_FAILURES: Final = Kind(
    HTTPStatus.TOO_MANY_REQUESTS, "too-many-failures", "Too many calls without a live token"
)
INTERNAL: Final = Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "A fault of Kessai itself")
UNAVAILABLE: Final = Kind(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "The books cannot be reached")
BUSY: Final = Kind(HTTPStatus.SERVICE_UNAVAILABLE, "busy", "Busy")

ANY_CALL: Final = (UNAUTHENTICATED, FORBIDDEN, INVALID, TOO_MANY_FAILURES, INTERNAL, UNAVAILABLE, BUSY)
ANY_ACT: Final = (TOO_LARGE, UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a request."""

    field: str
    message: str


class Refused(Exception):
    """A call that is not carried out, and the answer to it."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self._detail = detail
        self._faults = faults
        self._headers = dict(headers or {})
        if retry_after is not None:
            self._headers["Retry-After"] = str(max(1, math.ceil(retry_after)))

    def response(self) -> web.Response:
        kind = self.kind
        body: dict[str, Any] = {
            "type": kind.type,
            "code": kind.code,
            "title": kind.title,
            "status": int(kind.status),
            "detail": self._detail,
        }
        if self._faults:
            body["errors"] = [asdict(fault) for fault in self._faults]
        # As ASCII: half a surrogate pair that somebody sent has no UTF-8 form.
        raw = json.dumps(body).encode("ascii")
        return web.Response(status=kind.status, body=raw, content_type=MEDIA_TYPE, headers=self._headers)


_OUTDATED: Final = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)


def of_any(error: Exception, *, document: str) -> Refused:
    """The refusal for an error that no API handles itself.

    `document` is the path of the OpenAPI document.
    """
    match error:
        case Refused():
            return error
        case web.HTTPException():
            return _of_http(error, document)
        case KessaiError():
            return _of_books(error)
        case _:
            return _fault()


def _of_http(error: web.HTTPException, document: str) -> Refused:
    match error:
        case web.HTTPNotFound():
            return Refused(NOT_FOUND, f"Nothing is at this path. {document} describes the paths there are.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Refused(METHOD_NOT_ALLOWED, f"This path takes {allowed}.", headers={"Allow": allowed})
        case _:
            return _fault()


def _of_books(error: KessaiError) -> Refused:
    match error:
        case UnacceptableRow():
            return Refused(INVALID, "Postgres refuses a value of this request. Nothing was done.")
        case TransientConflict():
            return Refused(
                BUSY,
                "The rows were locked, or the query took too long. Nothing was done: try again, or read less.",
                retry_after=2,
            )
        case DatabaseUnavailable() if isinstance(error.__cause__, _OUTDATED):
            return Refused(
                UNAVAILABLE, "The database was made for another version of Kessai: run kessai migrate.", retry_after=30
            )
        case DatabaseUnavailable():  # the driver's message names addresses; the log has it
            return Refused(
                UNAVAILABLE,
                "Postgres cannot be reached. An act may have been done or not: check before you try again.",
                retry_after=5,
            )
        case _:
            return _fault()


def _fault() -> Refused:
    return Refused(INTERNAL, "Something went wrong in Kessai itself: the log of this server has the details.")
