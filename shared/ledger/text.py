"""May the books keep this text that a person wrote?"""

from typing import Final

from shared.errors import KessaiError

MAX_WHY: Final = 4000
"""Characters of a stated reason."""


class InvalidWhy(KessaiError):
    def __init__(self) -> None:
        super().__init__(
            f"say why in 1 to {MAX_WHY} characters of text, not blank and without NUL: the reason is kept on record"
        )


def is_keepable(text: str, *, longest: int) -> bool:
    """Whether Postgres takes it: not blank, at most `longest` characters, no NUL and no half of a surrogate pair."""
    return bool(text.strip()) and len(text) <= longest and "\0" not in text and is_unicode(text)


def is_unicode(text: str) -> bool:
    """Whether the text can be encoded as UTF-8: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_why(text: str) -> str:
    """The reason that somebody states for an act, trimmed. Raises InvalidWhy."""
    if not is_keepable(text, longest=MAX_WHY):
        raise InvalidWhy
    return text.strip()
