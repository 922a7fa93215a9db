"""What may a person of the console do?"""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Each role may do what the ones before it may."""

    VIEWER = "viewer"
    """Reads everything and changes nothing."""
    OPERATOR = "operator"
    """Decides, replays, cancels."""
    ADMIN = "admin"
    """Says who the others are."""

    def covers(self, needed: "Role") -> bool:
        return _RANK[self] >= _RANK[needed]


_RANK: Final = {role: rank for rank, role in enumerate(Role)}
