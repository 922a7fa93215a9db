"""How do long-running programs stop? SIGTERM or SIGINT set an event, and they finish what they have begun."""

import asyncio
import signal
from contextlib import suppress


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
