"""Options that several commands have, with one name, one meaning and one help text."""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

import typer

ALL = "all"

E = TypeVar("E", bound=StrEnum)


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
