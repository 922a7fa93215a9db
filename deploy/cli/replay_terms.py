"""The options that set the rate of a replay and when it stops."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from shared.ledger.replays import terms
from shared.ledger.replays.terms import UNLIMITED, InvalidTerms

T = TypeVar("T")


def parse_rate(text: str) -> float | None:
    """Return events a second, or None for no limit. Raises BadParameter."""
    return _parsed(terms.parse_rate, text)


def parse_share(text: str) -> float:
    """Return a share from 0 to 1. Raises BadParameter."""
    return _parsed(terms.parse_share, text)


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except InvalidTerms as error:
        raise typer.BadParameter(str(error)) from None


Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Reason, kept with the job: an incident, a fix.")]
Canary = Annotated[
    int,
    typer.Option(
        "--canary", min=0, max=100_000, help="Number of events to replay first; the rest waits for their result."
    ),
]
Rate = Annotated[
    str, typer.Option("--rate", metavar="RATE", help=f"Events to replay: 50/s, 600/m, or {UNLIMITED} for no limit.")
]
STOP_ON_FAIL = typer.Option(
    "--stop-on-fail", metavar="SHARE", help="Stop when a larger share of the events fails again, e.g. 2%."
)
StopOnFail = Annotated[str, STOP_ON_FAIL]
NewStopOnFail = Annotated[str | None, STOP_ON_FAIL]
