"""An operation of an API: one row of its table, from which routes, checks and the document are made."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from ingress.api.inputs import Params
from ingress.api.problems import NOT_FOUND, Kind

Call = TypeVar("Call")

_PATH_NAME: Final = re.compile(r"\{(\w+)\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Thing:
    """One JSON object."""

    shape: Any
    """Its type."""
    statuses: tuple[HTTPStatus, ...] = (HTTPStatus.OK,)


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a list."""

    shape: Any
    """The type of its items."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """A file."""

    media_types: tuple[str, ...]


Answers: TypeAlias = Thing | Listed | Bytes


@dataclass(frozen=True, slots=True)
class Operation(Generic[Call, Params]):
    name: str
    """The name that clients generated from the document use."""
    method: Literal["GET", "POST", "PUT"]
    path: str
    """Below the API's root; `{name}` stands for one part of it, percent-decoded once."""
    summary: str
    params: type[Params]
    answers: Answers
    handler: Callable[[Call, Params], Awaitable[object]]
    refuses: tuple[Kind, ...]
    """The kinds of refusal of its calls, except that a thing in its path does not exist."""

    @property
    def is_act(self) -> bool:
        return self.method != "GET"

    @property
    def path_names(self) -> list[str]:
        return _PATH_NAME.findall(self.path)

    @property
    def route(self) -> str:
        """The route for aiohttp: a part of the path may hold any character, braces included."""
        return _PATH_NAME.sub(r"{\1:[^/]+}", self.path)

    @property
    def refusals(self) -> list[Kind]:
        """All kinds of refusal of its calls."""
        of_paths = (NOT_FOUND,) if self.path_names else ()
        return list(dict.fromkeys((*self.refuses, *of_paths)))

    @property
    def extensions(self) -> dict[str, Any]:
        """Fields of the document beyond those that OpenAPI defines."""
        return {}
