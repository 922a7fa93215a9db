"""Where do the event and the order disagree? Both sides of a review, field by field."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """What each side says of one field; None when it says nothing."""

    field: str
    event: object
    order: object

    @property
    def differs(self) -> bool:
        """Where both say something; a number may come as text, a currency in any case."""
        both = self.event is not None and self.order is not None
        return both and str(self.event).casefold() != str(self.order).casefold()


def beside(event: Mapping[str, object], order: Mapping[str, object] | None) -> list[Said]:
    """What differs comes first, then what both speak of, then what one says alone."""
    ours = order or {}
    said = [Said(name, event.get(name), ours.get(name)) for name in dict.fromkeys((*event, *ours))]
    told = [each for each in said if each.event is not None or each.order is not None]
    return sorted(
        told, key=lambda each: (not each.differs, each.event is None or each.order is None, each.event is None)
    )
