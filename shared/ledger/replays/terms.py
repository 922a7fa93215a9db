"""How does a person say at which rate a replay runs, and when it stops? `50/s`, `none`; `2%`, `0.02`. Pure."""

import re
from typing import Final

from shared.errors import KessaiError

UNLIMITED: Final = "none"
DEFAULT_RATE: Final = 100.0
"""Events a second: live traffic hardly feels them; at 200 its p99 was up to 1.9 times that without a replay."""
DEFAULT_CANARY: Final = 5
DEFAULT_STOP_ON_FAIL: Final = 0.05
USUAL_RATE: Final = f"{DEFAULT_RATE:g}/s"
"""As people write it; so is the share."""
USUAL_STOP_ON_FAIL: Final = f"{DEFAULT_STOP_ON_FAIL * 100:g}%"
_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(?:/(s|m|h))?", re.ASCII)
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600}
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)(%)?", re.ASCII)


class InvalidTerms(KessaiError):
    """A rate or a share that cannot be read."""


def parse_rate(text: str) -> float | None:
    """Events a second; None for `none`, which is as fast as they are handled. Raises InvalidTerms."""
    if text.strip() == UNLIMITED:
        return None
    said = _RATE.fullmatch(text.strip())
    rate = float(said[1]) / _SECONDS[said[2]] if said else 0.0
    if not rate:
        raise InvalidTerms(f"{text[:40]!r} is no rate: write 50/s, 600/m, or {UNLIMITED}")
    return rate


def parse_share(text: str) -> float:
    """A share from 0 to 1. Raises InvalidTerms."""
    said = _SHARE.fullmatch(text.strip())
    share = float(said[1]) / (100 if said[2] else 1) if said else -1.0
    if not 0 <= share <= 1:
        raise InvalidTerms(f"{text[:40]!r} is no share of the events: write 2%, or 0.02")
    return share


def rate_in_words(rate: float | None) -> str:
    return "as fast as they are handled" if rate is None else f"{rate:g} events/s"
