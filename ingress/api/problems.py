"""How may a call be refused? As problem details (RFC 9457), one type each.

What the ledger raises is told as it is; what Postgres or we ourselves did wrong is told without their words.
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
    """One way to be refused."""

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
FORBIDDEN: Final = Kind(HTTPStatus.FORBIDDEN, "forbidden", "Not allowed to whom this token speaks for")
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
UNAVAILABLE: Final = Kind(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "The books are away")
BUSY: Final = Kind(HTTPStatus.SERVICE_UNAVAILABLE, "busy", "Busy")

ANY_CALL: Final = (UNAUTHENTICATED, FORBIDDEN, INVALID, TOO_MANY_FAILURES, INTERNAL, UNAVAILABLE, BUSY)
ANY_ACT: Final = (TOO_LARGE, UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request."""

    field: str
    message: str


class Refused(Exception):
    """A call that is not carried out, and what its caller is told."""

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
        told: dict[str, Any] = {
            "type": kind.type,
            "code": kind.code,
            "title": kind.title,
            "status": int(kind.status),
            "detail": self._detail,
        }
        if self._faults:
            told["errors"] = [asdict(fault) for fault in self._faults]
        # As ASCII: half a surrogate pair that somebody sent could not be told otherwise.
        body = json.dumps(told).encode("ascii")
        return web.Response(status=kind.status, body=body, content_type=MEDIA_TYPE, headers=self._headers)


_OUTDATED: Final = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)


def of_any(error: Exception, *, document: str) -> Refused:
    """What the caller is told of an error that no API has words of its own for.

    `document` is the path at which the API says what it is.
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
            return Refused(NOT_FOUND, f"Nothing is at this path: see {document} for those there are.")
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
                "Others were at the same rows, or it took too long. Nothing was done: try again, or ask for less.",
                retry_after=2,
            )
        case DatabaseUnavailable() if isinstance(error.__cause__, _OUTDATED):
            return Refused(
                UNAVAILABLE, "The database does not hold the books of this Kessai: run kessai migrate.", retry_after=30
            )
        case DatabaseUnavailable():  # not the driver's words: they name addresses; the log has them
            return Refused(
                UNAVAILABLE, "Postgres is away: whether an act was done, its thing will tell. Try again.", retry_after=5
            )
        case _:
            return _fault()


def _fault() -> Refused:
    return Refused(INTERNAL, "Nothing more is known here: the log of this server has it all.")
