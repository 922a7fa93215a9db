"""A form that was refused: it is shown again with what was typed, and a sentence at each field that is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Returned:
    """`form` is its name among the forms of its page."""

    form: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    """The problems by field; the one under the empty name is about the whole form."""

    def value(self, form: str, name: str, otherwise: str = "") -> str:
        return self.typed.get(name, "") if form == self.form else otherwise

    def problem(self, form: str, name: str = "") -> str | None:
        return self.problems.get(name) if form == self.form else None


FRESH: Final = Returned()
