"""How long is the pause before the next attempt? Exponential up to a limit, with jitter where many wait at once."""

from collections.abc import Callable
from datetime import timedelta
from random import uniform
from typing import Final, TypeVar

Pause = TypeVar("Pause", float, timedelta)

MAX_DOUBLINGS: Final = 20
"""More would overflow a timedelta before the limit is applied."""


def exponential(first: Pause, failures: int, *, limit: Pause) -> Pause:
    """`first` after no failure before this one, then twice as long after each, up to `limit`."""
    return min(first * (1 << min(failures, MAX_DOUBLINGS)), limit)


def jittered(seconds: float, draw: Callable[[float, float], float] = uniform) -> float:
    """Between half of `seconds` and the whole, so that a fleet of processes does not retry in step."""
    return seconds * draw(0.5, 1.0)
