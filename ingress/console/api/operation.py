"""What is an operation of the API? One row of its table, from which routes, checks and the document are made."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Generic, Literal, TypeAlias

from ingress.console.api.call import Call
from ingress.console.api.inputs import Asked
from ingress.console.api.refusals import (
    BUSY,
    CROSS_SITE,
    FORBIDDEN,
    INTERNAL,
    INVALID,
    MISDIRECTED,
    NOT_FOUND,
    TOO_LARGE,
    TOO_MANY_FAILURES,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED,
    Kind,
)
from shared.ledger.roles import Role

ROOT: Final = "/api/v1"

_PATH_NAME = re.compile(r"\{(\w+)\}", re.ASCII)
_ANY_CALL = (UNAUTHENTICATED, FORBIDDEN, MISDIRECTED, INVALID, TOO_MANY_FAILURES, INTERNAL, UNAVAILABLE, BUSY)
_ANY_ACT = (CROSS_SITE, TOO_LARGE, UNSUPPORTED)


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
    """Whatever it is, as a file."""

    media_types: tuple[str, ...]


Answers: TypeAlias = Thing | Listed | Bytes


@dataclass(frozen=True, slots=True)
class Operation(Generic[Asked]):
    name: str
    """As clients that are made from the document call it."""
    method: Literal["GET", "POST"]
    path: str
    """Below ROOT; `{name}` stands for one part of it, percent-decoded once."""
    needs: Role
    summary: str
    asks: type[Asked]
    answers: Answers
    handler: Callable[[Call, Asked], Awaitable[object]]
    refuses: tuple[Kind, ...] = ()
    """Beside what any call is refused for."""

    @property
    def path_names(self) -> list[str]:
        return _PATH_NAME.findall(self.path)

    @property
    def route(self) -> str:
        """As aiohttp is told: a part may hold any character, braces included."""
        return _PATH_NAME.sub(r"{\1:[^/]+}", self.path)

    @property
    def refusals(self) -> list[Kind]:
        """Every way in which a call of it may be refused."""
        of_acts = _ANY_ACT if self.method == "POST" else ()
        of_paths = (NOT_FOUND,) if self.path_names else ()
        return list(dict.fromkeys((*_ANY_CALL, *of_acts, *of_paths, *self.refuses)))


AnyOperation: TypeAlias = Operation[Any]


def read(
    name: str,
    path: str,
    summary: str,
    asks: type[Asked],
    answers: Answers,
    handler: Callable[[Call, Asked], Awaitable[object]],
    *,
    needs: Role = Role.VIEWER,
) -> Operation[Asked]:
    """What reads; it changes nothing."""
    return Operation(name, "GET", path, needs, summary, asks, answers, handler)


def act(
    name: str,
    path: str,
    summary: str,
    asks: type[Asked],
    answers: Answers,
    handler: Callable[[Call, Asked], Awaitable[object]],
    *,
    refuses: tuple[Kind, ...],
    needs: Role = Role.OPERATOR,
) -> Operation[Asked]:
    """What changes something, audited by what it calls."""
    return Operation(name, "POST", path, needs, summary, asks, answers, handler, refuses)
