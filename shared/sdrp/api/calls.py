"""What every group of calls stands on: something that sends a request and brings back the data."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from shared.sdrp.api.requests import Request


class Sender(Protocol):
    """The transport, or what stands in for it in tests."""

    async def call(self, request: Request) -> object:
        """The data of the answer. Raises SiglumeApiError."""

    def stream(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The body of the answer as it comes. Raises SiglumeApiError."""


class Calls:
    """A group of calls that share a transport."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
