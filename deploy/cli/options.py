"""Options that several commands have, with one name, one meaning and one help text."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

ALL = "all"
MAX_ID = 2**63 - 1
"""The largest number that a column of ids holds."""

E = TypeVar("E", bound=StrEnum)
N = TypeVar("N", int, int | None, list[int] | None)


def at_most(limit: int) -> Callable[[N], N]:
    """Return a callback that refuses a number above `limit`, where the limit would only clutter a help text."""

    def check(value: N) -> N:
        for number in value if isinstance(value, list) else [value]:
            if number is not None and number > limit:
                raise typer.BadParameter(f"{number} is larger than {limit}")
        return value

    return check


def state_or_all(states: type[E]) -> Callable[[str], E | None]:
    """Return a parser of --state: one of `states`, or None for `all`. It raises BadParameter."""

    def parse(text: str) -> E | None:
        if text == ALL:
            return None
        try:
            return states(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not one of {', '.join((*states, ALL))}") from None

    return parse


def states_and_all(states: type[E]) -> str:
    """Name the values of --state in a help text."""
    return "|".join((*states, ALL))


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="How many to list at most, the newest first.")]
OnlyEndpoint = Annotated[str | None, typer.Option("--endpoint", help="Only this endpoint; all when omitted.")]
OnlyOrder = Annotated[str | None, typer.Option("--order", metavar="ORDER_ID", help="Only this order.")]
OnlyEvent = Annotated[str | None, typer.Option("--event", metavar="EVENT_ID", help="Only this event id.")]
OnlyChallenge = Annotated[str | None, typer.Option("--challenge-hash", metavar="HASH", help="Only this challenge.")]
OnlyType = Annotated[str | None, typer.Option("--type", help="Only events of this type, as the platform names it.")]
OnlyKind = Annotated[str | None, typer.Option("--kind", help="Only events of this kind, as Kessai classified them.")]
NoteText = Annotated[str, typer.Argument(metavar="TEXT", help="What the next person should know.")]
TokenDays = Annotated[
    int | None,
    typer.Option("--days", min=1, max=36500, help="Days until the token expires; never when omitted."),
]
AdminHost = Annotated[str, typer.Option(help="Address of /livez, /readyz and /metrics.")]
AdminPort = Annotated[int, typer.Option(min=0, max=65535, help="Admin port; 0 picks a free one.")]
