"""The next rows of a long list: where it continues, and what to do when few of them are wanted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Generic, TypeVar

import asyncpg

from shared.ledger.books import Row
from shared.ledger.database import Connection

T = TypeVar("T")
Key = tuple[Any, ...]

REACH = 20_000
"""Rows that one page looks through at most for what is wanted."""


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    rows: Sequence[T]
    older: Key | None = None
    """Where the next slice begins; None when there is nothing older."""
    looked_through: int = 0
    """Rows that were looked at when that was all one page may: there may be more beyond. 0: the slice is whole."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where rows lie and in which order they are read."""

    table: str
    columns: str
    key: tuple[tuple[str, str], ...]
    """Its columns and their types; together they are unique and an index has them in this order."""

    @property
    def key_columns(self) -> str:
        return ", ".join(name for name, _ in self.key)

    @property
    def newest_first(self) -> str:
        return ", ".join(f"{name} DESC" for name, _ in self.key)


Condition = tuple[str, tuple[object, ...]]


@dataclass(slots=True)
class Wanted:
    """Conditions on the rows, as SQL with {} where a value goes; every value is a parameter."""

    indexed: list[Condition] = field(default_factory=list)
    looked_for: list[Condition] = field(default_factory=list)

    def by_index(self, condition: str, *values: object) -> None:
        """The order of the rows and this condition are one index."""
        self.indexed.append((condition, values))

    def by_look(self, condition: str, *values: object) -> None:
        """Rows are looked at one by one."""
        self.looked_for.append((condition, values))


async def take_slice(
    connection: Connection,
    shelf: Shelf,
    wanted: Wanted,
    made: Callable[[asyncpg.Record], T],
    *,
    before: Key | None,
    limit: int,
    reach: int = REACH,
) -> Slice[T]:
    """The newest `limit` rows older than the key `before` that are wanted."""
    if before is not None:
        marks = ", ".join(f"{{}}::{type_}" for _, type_ in shelf.key)
        wanted.by_index(f"({shelf.key_columns}) < ({marks})", *before)
    near = f"""
        SELECT {shelf.columns}
        FROM {shelf.table}
        {_where(wanted.indexed)}
        ORDER BY {shelf.newest_first}
        LIMIT {reach}
    """
    rows = await connection.fetch(
        f"""
        SELECT *
        FROM ({near}) AS near
        {_where(wanted.looked_for, after=len(_values(wanted.indexed)))}
        ORDER BY {shelf.newest_first}
        LIMIT {limit + 1}
        """,
        *_values(wanted.indexed),
        *_values(wanted.looked_for),
    )
    shown = [made(row) for row in rows[:limit]]
    if len(rows) > limit:
        return Slice(shown, _key_of(shelf, rows[limit - 1]))
    last = await _end_of_look(connection, shelf, wanted, reach) if wanted.looked_for else None
    return Slice(shown) if last is None else Slice(shown, last, looked_through=reach)


async def _end_of_look(connection: Connection, shelf: Shelf, wanted: Wanted, reach: int) -> Key | None:
    """Where the look ended; None when the list ended before."""
    row = await connection.fetchrow(
        f"""
        SELECT {shelf.key_columns}, count(*) OVER () AS looked_through
        FROM (
            SELECT {shelf.key_columns}
            FROM {shelf.table}
            {_where(wanted.indexed)}
            ORDER BY {shelf.newest_first}
            LIMIT {reach}
        ) AS near
        ORDER BY {shelf.key_columns}
        LIMIT 1
        """,
        *_values(wanted.indexed),
    )
    return None if row is None or row["looked_through"] < reach else _key_of(shelf, row)


def _where(conditions: Sequence[Condition], *, after: int = 0) -> str:
    """The conditions with their parameters, which are numbered `after` so many others."""
    numbers = count(after + 1)
    texts = [text.format(*(f"${next(numbers)}" for _ in values)) for text, values in conditions]
    return "WHERE " + " AND ".join(texts) if texts else ""


def _values(conditions: Sequence[Condition]) -> list[object]:
    return [value for _, values in conditions for value in values]


def _key_of(shelf: Shelf, row: Row) -> Key:
    return tuple(row[name] for name, _ in shelf.key)
