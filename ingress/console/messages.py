"""How does a page explain an error? In sentences, with the field or the button to use."""

from collections.abc import Mapping
from typing import Final

from shared.errors import KessaiError
from shared.remedies import Remedy

ADVICE: Final[Mapping[Remedy, str]] = {
    Remedy.ACCEPT_MISMATCH: "Tick “although it does not match” to count it all the same.",
    Remedy.ADD_ORDER: "Check the id, or register the order first.",
    Remedy.NAME_EVENTS: "Choose some of them.",
    Remedy.NAME_ORDER: "Enter its id.",
    Remedy.READ_GROUP_AGAIN: "This page shows the group as it is now.",
    Remedy.READ_REVIEW_AGAIN: "This page shows the review as it is now.",
    Remedy.TAKE_REVIEW_OVER: "Ask them to release it, or take it over.",
}
"""Without those that a page needs no words for, because it shows the list or the button."""


def explained(error: KessaiError) -> str:
    """An error as a page explains it."""
    return sentences(str(error), error.remedy)


def sentences(text: str, remedy: Remedy | None = None) -> str:
    """The text as a sentence, followed by the advice for the remedy."""
    sentence = f"{text[:1].upper()}{text[1:]}."
    advice = ADVICE.get(remedy) if remedy is not None else None
    return sentence if advice is None else f"{sentence} {advice}"
