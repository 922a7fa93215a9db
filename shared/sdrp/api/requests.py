"""What is asked of the platform, before anything is sent?"""

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
    """The method of the client that makes it; errors name it."""
    method: Method
    path: str
    """Below the base URL, percent-encoded, with its query."""
    body: bytes | None = field(default=None, repr=False)
    """JSON."""
    repeatable: bool = False
    """Whether asking twice does no more than asking once, so that a lost answer may be asked for again."""
    token: SecretStr | None = None
    """Instead of the client's own."""
    holds_for: int = 0
    """Seconds that the platform may wait with its answer, because it was asked to."""
    accept: str = "application/json"


def get(
    call: str, path: str, query: Mapping[str, object] | None = None, *, accept: str = "application/json"
) -> Request:
    asked = f"{path}?{urlencode(query)}" if query else path
    return Request(call, "GET", asked, repeatable=True, accept=accept)


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
