"""A form that could not be taken: given back with all that was typed and a sentence at each field that is wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.errors import KessaiError


@dataclass(frozen=True, slots=True)
class Returned:
    """`form` names it among the forms of its page."""

    form: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    """By field; the one under the empty name is about the form as a whole."""

    def value(self, form: str, name: str, otherwise: str = "") -> str:
        return self.typed.get(name, "") if form == self.form else otherwise

    def problem(self, form: str, name: str = "") -> str | None:
        return self.problems.get(name) if form == self.form else None


FRESH: Final = Returned()

# What a command line says of itself; a page has fields and buttons instead.
_COMMAND = re.compile(r"\s*\(kessai [^)]*\)")
_SEE_COMMAND = re.compile(r": see `[^`]*`")
_FIELDS: Final = {
    "say --accept-mismatch as well": "tick “although it does not fit”",
    "name it with --order": "enter its id",
    ": leave them out with --since": "",
    "nothing changed: ": "",
    " or register it with `kessai orders add`": " or register it first",
}


def in_words(error: KessaiError) -> str:
    """An error as a page says it."""
    return sentence(str(error))


def sentence(text: str) -> str:
    """The words of an error without what a command line says of itself."""
    text = _SEE_COMMAND.sub("", _COMMAND.sub("", text))
    for said, instead in _FIELDS.items():
        text = text.replace(said, instead)
    return f"{text[:1].upper()}{text[1:]}."
