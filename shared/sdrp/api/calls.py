"""The base of every group of calls: a sender, which sends a request and returns the data."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from shared.sdrp.api.requests import Request


class Sender(Protocol):
    """The transport, or a substitute in tests."""

    async def call(self, request: Request) -> object:
        """The data of the answer. Raises SiglumeApiError."""

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The body of the answer as a stream. Raises SiglumeApiError."""


class Calls:
    """A group of calls that share a transport."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
