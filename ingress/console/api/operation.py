"""What is an operation of the admin API? One that needs a role."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ingress.api.inputs import Asked
from ingress.api.operation import Answers, Operation
from ingress.api.problems import ANY_ACT, ANY_CALL, Kind
from ingress.console.api.call import Call
from ingress.console.api.refusals import CROSS_SITE, MISDIRECTED
from shared.ledger.roles import Role

ROOT: Final = "/api/v1"

_ANY_CALL: Final = (*ANY_CALL, MISDIRECTED)
_ANY_ACT: Final = (*_ANY_CALL, *ANY_ACT, CROSS_SITE)


@dataclass(frozen=True, slots=True)
class AdminOperation(Operation[Call, Asked]):
    needs: Role = Role.ADMIN

    @property
    def extensions(self) -> dict[str, Any]:
        """Who may call it."""
        return {"x-kessai-role": self.needs}


AnyOperation: TypeAlias = AdminOperation[Any]


def read(
    name: str,
    path: str,
    summary: str,
    asks: type[Asked],
    answers: Answers,
    handler: Callable[[Call, Asked], Awaitable[object]],
    *,
    needs: Role = Role.VIEWER,
) -> AdminOperation[Asked]:
    """What reads; it changes nothing."""
    return AdminOperation(name, "GET", path, summary, asks, answers, handler, _ANY_CALL, needs)


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
) -> AdminOperation[Asked]:
    """What changes something, audited by what it calls."""
    return AdminOperation(name, "POST", path, summary, asks, answers, handler, (*_ANY_ACT, *refuses), needs)
