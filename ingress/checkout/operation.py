"""What is an operation of the checkout API? Any live token of the order's own endpoint may call it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ingress.api.inputs import Params as Asked
from ingress.api.operation import Answers, Operation
from ingress.api.problems import ANY_ACT, ANY_CALL, INTERNAL, INVALID, TOO_MANY_FAILURES, Kind
from ingress.checkout.call import Call
from ingress.checkout.refusals import TOO_SLOW

AnyOperation: TypeAlias = Operation[Call, Any]
CheckoutOperation: TypeAlias = Operation[Call, Asked]
Handler: TypeAlias = Callable[[Call, Asked], Awaitable[object]]

_ANY_CALL: Final = (*ANY_CALL, TOO_SLOW)
_ANY_ACT: Final = (*_ANY_CALL, *ANY_ACT)


@dataclass(frozen=True, slots=True)
class PublicRead(Operation[Call, Asked]):
    """An operation that needs no token."""

    @property
    def extensions(self) -> dict[str, Any]:
        return {"security": []}


def public_read(
    name: str, path: str, summary: str, asks: type[Asked], answers: Answers, handler: Handler[Asked]
) -> PublicRead[Asked]:
    """An operation without a token, which reveals no secret and does not use the books."""
    refuses = (INVALID, TOO_MANY_FAILURES, INTERNAL, TOO_SLOW)
    return PublicRead(name, "GET", path, summary, asks, answers, handler, refuses)


def read(
    name: str, path: str, summary: str, asks: type[Asked], answers: Answers, handler: Handler[Asked]
) -> CheckoutOperation[Asked]:
    """An operation that changes nothing."""
    return Operation(name, "GET", path, summary, asks, answers, handler, _ANY_CALL)


def act(
    name: str,
    path: str,
    summary: str,
    asks: type[Asked],
    answers: Answers,
    handler: Handler[Asked],
    *,
    refuses: tuple[Kind, ...],
) -> CheckoutOperation[Asked]:
    """An operation that changes something; what it calls writes the audit."""
    return Operation(name, "POST", path, summary, asks, answers, handler, (*_ANY_ACT, *refuses))


def put(
    name: str,
    path: str,
    summary: str,
    asks: type[Asked],
    answers: Answers,
    handler: Handler[Asked],
    *,
    refuses: tuple[Kind, ...],
) -> CheckoutOperation[Asked]:
    """An operation that changes something once, however often it is called."""
    return Operation(name, "PUT", path, summary, asks, answers, handler, (*_ANY_ACT, *refuses))
