"""A transport that sends nothing: it keeps the request and gives a prepared answer."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from shared.sdrp.api.requests import Request

T = TypeVar("T")


class Desk:
    """Stands in for the transport."""

    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.requests: list[Request] = []

    async def call(self, request: Request) -> object:
        self.requests.append(request)
        return self.answer

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[AsyncIterator[bytes]]:
        self.requests.append(request)

        async def pieces() -> AsyncIterator[bytes]:
            assert isinstance(self.answer, list)
            for piece in self.answer:
                yield piece

        yield pieces()


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    raise AssertionError("it waits for something")
