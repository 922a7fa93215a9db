"""Many rows as a few parameters: each column travels as one text that Postgres splits.

asyncpg spends more on every element of an array parameter than Postgres on splitting the row it belongs to, which made
array parameters the largest cost of applying an event. See deploy/decisions/0004-speed.md.
"""

from collections.abc import Sequence
from uuid import uuid4

SEPARATOR, NULL = "\x1f", "\x1e"


def given(**types: str) -> str:
    """SQL for the rows that `pack` packs: a FROM item named `given`, with these columns and types.

    The parameters $1 and $2 are the separator and the mark of NULL, the columns follow from $3.
    """
    splits = (
        f"string_to_array(${at}, $1, $2)" + ("" if type_ == "text" else f"::{type_}[]")
        for at, type_ in enumerate(types.values(), start=3)
    )
    return f"unnest({', '.join(splits)}) AS given ({', '.join(types)})"


def pack(*columns: Sequence[str | None]) -> list[str]:
    """Columns of equal length as query arguments for `given`. Raises ValueError for empty text: it reads as no row.

    A value that holds the usual separator gets separators that nobody could have put there.
    """
    separator, null = SEPARATOR, NULL
    texts = [_join(column, separator, null) for column in columns]
    if any(_is_ambiguous(text, column) for text, column in zip(texts, columns, strict=True)):
        mark = uuid4().hex
        separator, null = f"\x1f{mark}\x1f", f"\x1e{mark}\x1e"
        texts = [_join(column, separator, null) for column in columns]
    return [separator, null, *texts]


def _join(column: Sequence[str | None], separator: str, null: str) -> str:
    if "" in column:
        raise ValueError("an empty text cannot be packed")
    if None in column:
        column = [null if value is None else value for value in column]
    return separator.join(column)  # type: ignore[arg-type]  # no None is left


def _is_ambiguous(text: str, column: Sequence[str | None]) -> bool:
    return text.count(SEPARATOR) != len(column) - 1 or text.count(NULL) != column.count(None)
