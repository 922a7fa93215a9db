"""The options that say at which rate a replay runs, and when it stops."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from shared.ledger.replays import terms
from shared.ledger.replays.terms import UNLIMITED, InvalidTerms

T = TypeVar("T")


def parse_rate(text: str) -> float | None:
    """Events a second; None: as fast as they are handled. Raises BadParameter."""
    return _parsed(terms.parse_rate, text)


def parse_share(text: str) -> float:
    """A share from 0 to 1. Raises BadParameter."""
    return _parsed(terms.parse_share, text)


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except InvalidTerms as error:
        raise typer.BadParameter(str(error)) from None


Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, kept with the job: an incident, a fix.")]
Canary = Annotated[int, typer.Option("--canary", min=0, max=100_000, help="So many first, judged before the rest.")]
Rate = Annotated[str, typer.Option("--rate", metavar="RATE", help=f"50/s, 600/m, or {UNLIMITED} for no limit.")]
STOP_ON_FAIL = typer.Option("--stop-on-fail", metavar="SHARE", help="Stop when more of them fail again, e.g. 2%.")
StopOnFail = Annotated[str, STOP_ON_FAIL]
NewStopOnFail = Annotated[str | None, STOP_ON_FAIL]
