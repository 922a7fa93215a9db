"""Text that a caller of the API writes for people to read later. The books keep it, and check it by the same rules."""

from typing import Annotated, Final

from pydantic import Field

from shared.ledger.notes import MAX_BODY
from shared.ledger.text import MAX_WHY

_NOT_BLANK: Final = r"^[^\x00]*\S[^\x00]*$"

Why = Annotated[
    str, Field(min_length=1, max_length=MAX_WHY, pattern=_NOT_BLANK, description="The reason; it is kept on record.")
]
NoteBody = Annotated[str, Field(min_length=1, max_length=MAX_BODY, pattern=_NOT_BLANK)]
