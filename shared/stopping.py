"""How do long-running programs stop? SIGTERM or SIGINT set an event, and they finish what they have begun."""

import asyncio
import signal
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def stop_at_signals() -> asyncio.Event:
    """An event of the running loop that either signal sets."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def wait_or_stop(stop: asyncio.Event, seconds: float) -> None:
    """Wait for this long, or until `stop` is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def cut_at_stop(stop: asyncio.Event, work: Awaitable[T]) -> T:
    """The result of the work. Raises CancelledError when `stop` is set before the work is done.

    The work is cancelled but not awaited: a driver whose server does not answer may take minutes to give up.
    """
    task, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise asyncio.CancelledError
        return task.result()
    finally:
        stopping.cancel()
        if not task.done():
            task.cancel()
            task.add_done_callback(_read_error)


def _read_error(task: asyncio.Future[Any]) -> None:
    """Read the error of a task that nobody awaits, which asyncio would log otherwise."""
    if not task.cancelled():
        task.exception()
