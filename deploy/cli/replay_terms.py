"""How does a person say at which rate a replay runs, and when it stops? `50/s`, `none`; `2%`, `0.02`."""

import re
from typing import Annotated

import typer

_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(?:/(s|m|h))?", re.ASCII)
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600}
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)(%)?", re.ASCII)
UNLIMITED = "none"


def parse_rate(text: str) -> float | None:
    """Events a second; None for `none`, which is as fast as they are handled. Raises BadParameter."""
    if text.strip() == UNLIMITED:
        return None
    said = _RATE.fullmatch(text.strip())
    rate = float(said[1]) / _SECONDS[said[2]] if said else 0.0
    if not rate:
        raise typer.BadParameter(f"{text[:40]!r} is no rate: write 50/s, 600/m, or {UNLIMITED}")
    return rate


def parse_share(text: str) -> float:
    """A share from 0 to 1. Raises BadParameter."""
    said = _SHARE.fullmatch(text.strip())
    share = float(said[1]) / (100 if said[2] else 1) if said else -1.0
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"{text[:40]!r} is no share of the events: write 2%, or 0.02")
    return share


def rate_in_words(rate: float | None) -> str:
    return "as fast as they are handled" if rate is None else f"{rate:g} events/s"


Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, kept with the job: an incident, a fix.")]
Canary = Annotated[int, typer.Option("--canary", min=0, max=100_000, help="So many first, judged before the rest.")]
Rate = Annotated[str, typer.Option("--rate", metavar="RATE", help=f"50/s, 600/m, or {UNLIMITED} for no limit.")]
STOP_ON_FAIL = typer.Option("--stop-on-fail", metavar="SHARE", help="Stop when more of them fail again, e.g. 2%.")
StopOnFail = Annotated[str, STOP_ON_FAIL]
NewStopOnFail = Annotated[str | None, STOP_ON_FAIL]
