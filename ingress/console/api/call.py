"""One call of the admin API: its caller, the books, and the pages of a list."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiohttp import web

from ingress.api.books import in_books
from ingress.api.inputs import invalid
from ingress.api.problems import Fault
from ingress.console import cursors
from ingress.console.cursors import InvalidCursor, Maker
from ingress.console.services import Services
from shared.ledger import users
from shared.ledger.api_tokens import Holder
from shared.ledger.database import Connection

T = TypeVar("T")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some items of a list."""

    items: Sequence[Row]
    next_cursor: str | None = None
    """None: these were the last."""


@dataclass(frozen=True, slots=True)
class Call:
    request: web.Request
    services: Services
    holder: Holder
    """Whom the token of the call belongs to."""
    document: Callable[[], bytes]
    """Makes the OpenAPI document of the API."""

    @property
    def actor(self) -> str:
        """The actor for the audit: the user of the token, as on a page.

        It is not the token, because a person who proposes on a page and approves by a script is still one person, and
        can release there what they claimed here. The log of the console says which token it was.
        """
        return users.subject(self.holder.name)

    async def books(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """One piece of work that commits or changes nothing. Raises KessaiError."""
        return await in_books(self.services.pool, work)

    def place(self, cursor: str | None, *makers: Maker) -> tuple[Any, ...] | None:
        """Behind which row the list goes on. Raises Refused."""
        if cursor is None:
            return None
        try:
            return cursors.read(cursor, self.request.path, makers)
        except InvalidCursor:
            raise invalid([Fault("cursor", "is none of this list: take `next_cursor` of the page before")]) from None

    def number(self, cursor: str | None) -> int | None:
        """As `place`, where one number is the whole key."""
        place = self.place(cursor, cursors.number)
        return None if place is None else int(place[0])

    def cursor(self, key: Sequence[object] | None) -> str | None:
        return None if key is None else cursors.write(self.request.path, key)

    def page(self, found: Sequence[Row], limit: int, key_of: Callable[[Row], Sequence[object]]) -> Page[Row]:
        """A page of `limit` rows at most; the one more that was found tells that there is another page."""
        rows = found[:limit]
        return Page(rows, self.cursor(key_of(rows[-1])) if len(found) > limit else None)
