"""An operation of the admin API: one that needs a role."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ingress.api.inputs import Params
from ingress.api.operation import Answers, Operation
from ingress.api.problems import ANY_ACT, ANY_CALL, Kind
from ingress.console.api.call import Call
from ingress.console.api.refusals import CROSS_SITE, MISDIRECTED
from shared.ledger.roles import Role

ROOT: Final = "/api/v1"

_ANY_CALL: Final = (*ANY_CALL, MISDIRECTED)
_ANY_ACT: Final = (*_ANY_CALL, *ANY_ACT, CROSS_SITE)


@dataclass(frozen=True, slots=True)
class AdminOperation(Operation[Call, Params]):
    needs: Role = Role.ADMIN

    @property
    def extensions(self) -> dict[str, Any]:
        """The role that a call needs, for the document."""
        return {"x-kessai-role": self.needs}


AnyOperation: TypeAlias = AdminOperation[Any]


def read(
    name: str,
    path: str,
    summary: str,
    params: type[Params],
    answers: Answers,
    handler: Callable[[Call, Params], Awaitable[object]],
    *,
    needs: Role = Role.VIEWER,
) -> AdminOperation[Params]:
    """A route that only reads."""
    return AdminOperation(name, "GET", path, summary, params, answers, handler, _ANY_CALL, needs)


def act(
    name: str,
    path: str,
    summary: str,
    params: type[Params],
    answers: Answers,
    handler: Callable[[Call, Params], Awaitable[object]],
    *,
    refuses: tuple[Kind, ...],
    needs: Role = Role.OPERATOR,
) -> AdminOperation[Params]:
    """An operation that changes something; what it calls writes the audit."""
    return AdminOperation(name, "POST", path, summary, params, answers, handler, (*_ANY_ACT, *refuses), needs)
