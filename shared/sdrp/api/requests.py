"""What does a request to the platform consist of, before it is sent?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

from pydantic import SecretStr

Method = Literal["GET", "POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class Request:
    """One call. Requests for the same thing are equal."""

    call: str
    """The client's method that makes the call; errors name it."""
    method: Method
    path: str
    """The path below the base URL, percent-encoded, with its query."""
    body: bytes | None = field(default=None, repr=False)
    """The JSON text to send."""
    repeatable: bool = False
    """Whether the call does the same when it is repeated, so that it may be retried when its answer is lost."""
    token: SecretStr | None = None
    """The token to use instead of the client's."""
    holds_for: int = 0
    """Seconds that the platform may hold its answer, because the call allows it."""
    accept: str = "application/json"


def get(
    call: str, path: str, query: Mapping[str, object] | None = None, *, accept: str = "application/json"
) -> Request:
    target = f"{path}?{urlencode(query)}" if query else path
    return Request(call, "GET", target, repeatable=True, accept=accept)


def post(
    call: str,
    path: str,
    body: Mapping[str, object] | None = None,
    *,
    repeatable: bool,
    token: SecretStr | None = None,
    holds_for: int = 0,
) -> Request:
    written = None if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Request(call, "POST", path, written, repeatable=repeatable, token=token, holds_for=holds_for)


def delete(call: str, path: str) -> Request:
    """Deleting twice deletes once."""
    return Request(call, "DELETE", path, repeatable=True)
