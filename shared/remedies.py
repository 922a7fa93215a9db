"""What could a person do about a refusal? The books name a remedy; terminal, pages and API each explain it."""

from collections.abc import Mapping
from enum import Enum, auto


class Remedy(Enum):
    ACCEPT_MISMATCH = auto()
    """Count the payment although it does not fit."""
    ADD_ORDER = auto()
    CHANGE_USER = auto()
    """Change the user that exists instead of adding one."""
    EXCLUDE_OLD_EVENTS = auto()
    LIST_CLIENTS = auto()
    LIST_DEAD_LETTERS = auto()
    LIST_GROUPS = auto()
    LIST_REPLAYS = auto()
    LIST_REVIEWS = auto()
    LIST_TOKENS = auto()
    LIST_USERS = auto()
    NAME_EVENTS = auto()
    NAME_ORDER = auto()
    READ_GROUP_AGAIN = auto()
    READ_REVIEW_AGAIN = auto()
    REVOKE_CLIENT = auto()
    REVOKE_TOKEN = auto()
    TAKE_REVIEW_OVER = auto()


def with_advice(message: str, remedy: Remedy | None, advice: Mapping[Remedy, str]) -> str:
    """The message in one line with the advice that one edge has for the remedy, where it has one."""
    if remedy is None or remedy not in advice:
        return message
    return f"{message}{'; ' if ': ' in message else ': '}{advice[remedy]}"
