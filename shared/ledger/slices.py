"""A page of a long list: where it goes on, and how far to look when few of its rows are wanted.

Every list is read along an index and continued by key, so a page costs the same at the first row and at the millionth.
What no index finds is looked for among the next so many rows; the slice then says how far it looked.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from shared.ledger.conditions import Conditions
from shared.ledger.database import Connection

Place: TypeAlias = Any
"""Where a row stands in its list: the value of its key, or a tuple of them."""


class Placed(Protocol):
    """A row that knows where it stands."""

    @property
    def place(self) -> Place: ...


T = TypeVar("T", bound=Placed)
Search = Callable[[int, Place, Place], Awaitable[Sequence[T]]]
"""Finds so many rows older than the first place, down to the second one; None leaves that end open."""

REACH: Final = 20_000
"""Rows that one page looks through at most for what is wanted."""


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    rows: Sequence[T]
    older: Place = None
    """Where the next slice begins; None when there is nothing older."""
    looked_through: int = 0
    """Rows that were looked at when that was all one page may: there may be more beyond. 0: the slice is whole."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where rows lie and in which order they are read."""

    table: str
    key: tuple[str, ...]
    """Its columns; together they are unique and an index has them in this order."""
    holds: str | None = None
    """What is true of all rows that are meant, as a partial index says it: another wording would not find it."""

    def newest(
        self, columns: str, asked: Conditions, *, limit: int, before: Place = None, down_to: Place = None
    ) -> str:
        """The query for the newest rows of which `asked` is true; its values are those of `asked` from then on.

        `before` is the place that the last page ended with, `down_to` the last one to look at.
        """
        key = ", ".join(self.key)
        if self.holds is not None:
            asked.add(self.holds)
        for comparison, place in (("<", before), (">=", down_to)):
            if place is not None:
                marks = ", ".join("{}" for _ in self.key)
                asked.add(f"({key}) {comparison} ({marks})", *(place if isinstance(place, tuple) else (place,)))
        newest_first = ", ".join(f"{name} DESC" for name in self.key)
        return f"""
        SELECT {columns}
        FROM {self.table}
        WHERE {asked}
        ORDER BY {newest_first}
        LIMIT {asked.parameter(limit)}
        """


ORDERS: Final = Shelf("kessai.orders", ("created_at", "order_id"))
PAYMENTS: Final = Shelf(
    "kessai.audit JOIN kessai.orders ON order_id = subject",
    ("audit.paid_at", "audit_id"),
    "audit.paid_at IS NOT NULL",  # as the partial index says it
)
"""Orders that were paid, by when."""
EVENTS: Final = Shelf("kessai.webhook_events", ("received_at", "receipt_id"))
REVIEWS: Final = Shelf("kessai.reviews", ("review_id",))
DEAD_LETTERS: Final = Shelf("kessai.dead_letters", ("received_at", "dead_letter_id"))
AUDIT: Final = Shelf("kessai.audit", ("audit_id",))
AUDIT_OF_PEOPLE: Final = Shelf(
    "kessai.audit",
    ("audit_id",),
    # As the partial indexes say it: another wording would not find them.
    "action NOT IN ('order.moved', 'order.registered', "
    "'checkout.begun', 'checkout.opened', 'checkout.challenged', 'checkout.ended')",
)


async def take_slice(
    connection: Connection,
    shelf: Shelf,
    search: Search[T],
    *,
    limit: int,
    before: Place,
    is_bounded: bool,
    reach: int = REACH,
) -> Slice[T]:
    """The newest `limit` rows older than the place `before` that the search wants.

    `is_bounded`: no index finds them, so that the search reads the shelf row by row.
    """
    floor = await _floor(connection, shelf, before, reach) if is_bounded else None
    rows = await search(limit + 1, before, floor)
    if len(rows) > limit:
        return Slice(rows[:limit], rows[limit - 1].place)
    return Slice(rows) if floor is None else Slice(rows, floor, looked_through=reach)


async def _floor(connection: Connection, shelf: Shelf, before: Place, reach: int) -> Place:
    """The last row that a page may look at; None when the list ends before."""
    asked = Conditions()
    query = shelf.newest(", ".join(shelf.key), asked, limit=1, before=before)
    row = await connection.fetchrow(f"{query} OFFSET {reach - 1}", *asked.values)
    if row is None:
        return None
    return tuple(row) if len(shelf.key) > 1 else row[0]
