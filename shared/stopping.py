"""When does a program stop? When somebody asks it to, by SIGTERM or SIGINT; what it has begun it finishes."""

import asyncio
import signal


def stop_at_signals() -> asyncio.Event:
    """What is set in the running loop once either comes."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
