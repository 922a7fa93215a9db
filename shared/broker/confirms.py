"""Which publishes wait for RabbitMQ's confirm, by delivery tag."""

import asyncio
from collections import deque

from shared.errors import BrokerUnavailable


class Confirms:
    """The delivery tags of one channel in confirm mode, and who waits for each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._create_future = loop.create_future
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._lowest = 1
        """No tag below it waits."""
        self._next_tag = 1
        self._marks: deque[tuple[float, int]] = deque()
        """(time, the tag that came next then): what was published before that time has a lower tag."""

    def __len__(self) -> int:
        """Publishes without an answer, those given up by their callers included: the broker still has them."""
        return len(self._waiting)

    def register(self) -> tuple[int, asyncio.Future[None]]:
        """The next delivery tag and the future of its confirm."""
        tag = self._next_tag
        self._next_tag = tag + 1
        future = self._waiting[tag] = self._create_future()
        return tag, future

    def settle(self, tag: int, *, multiple: bool, error: BrokerUnavailable | None = None) -> None:
        """RabbitMQ has confirmed one tag, or all tags up to it, or refused them with `error`."""
        if not multiple:
            self._resolve(tag, error)
            return
        for each in range(self._lowest, tag + 1):
            self._resolve(each, error)
        self._lowest = max(self._lowest, tag + 1)

    def _resolve(self, tag: int, error: BrokerUnavailable | None) -> None:
        future = self._waiting.pop(tag, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(_fresh(error))

    def refuse(self, tag: int, error: BrokerUnavailable) -> None:
        """Fail one caller; the tag stays in flight until the broker's confirm, which follows a return."""
        future = self._waiting.get(tag)
        if future is not None and not future.done():
            future.set_exception(_fresh(error))

    def mark(self, *, now: float) -> None:
        self._marks.append((now, self._next_tag))

    def expire(self, *, before: float, error: BrokerUnavailable) -> int:
        """Fail the callers that registered before a mark of that age; how many there were.

        Their tags stay in flight: what the broker makes of them is unknown.
        """
        limit = 0
        while self._marks and self._marks[0][0] <= before:
            limit = self._marks.popleft()[1]
        expired = 0
        for tag, future in self._waiting.items():
            if tag >= limit:
                break
            if not future.done():
                future.set_exception(_fresh(error))
                expired += 1
        return expired

    def fail_all(self, error: BrokerUnavailable) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(_fresh(error))


def _fresh(error: BrokerUnavailable) -> BrokerUnavailable:
    """An exception collects tracebacks where it is raised, so each caller gets one of its own."""
    return type(error)(*error.args)
