"""The roles of the users."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Each role may do what the ones before it may."""

    VIEWER = "viewer"
    """Reads everything and changes nothing."""
    OPERATOR = "operator"
    """Decides, replays, cancels."""
    ADMIN = "admin"
    """Manages the users."""

    def covers(self, needed: "Role") -> bool:
        return _RANK[self] >= _RANK[needed]


_RANK: Final = {role: rank for rank, role in enumerate(Role)}
