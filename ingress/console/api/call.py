"""What does an operation have at hand? Who calls, the books, and where its list goes on."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiohttp import web

from ingress.api.books import in_books
from ingress.api.inputs import invalid
from ingress.api.problems import Fault
from ingress.console import cursors
from ingress.console.cursors import InvalidCursor, Maker
from ingress.console.exporter import Exporter
from ingress.console.plans import Plans
from ingress.console.reckoning import Reckoning, RevenueTerms
from shared.ledger import users
from shared.ledger.api_tokens import Holder
from shared.ledger.books import Shop
from shared.ledger.database import Connection, Pool
from shared.sdrp.signature import SigningSecret

T = TypeVar("T")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Services:
    """What every call shares."""

    pool: Pool
    shops: Mapping[str, Shop]
    secrets: Mapping[str, Sequence[SigningSecret]]
    """Of each endpoint, what signatures are proved with again; empty where the console was given none."""
    approvals: int
    """People it takes to decide on a review where money moves."""
    plans: Plans
    reckoning: Reckoning
    revenue: RevenueTerms
    exporter: Exporter
    document: Callable[[], bytes]
    """Tells what the API is (OpenAPI)."""


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

    @property
    def actor(self) -> str:
        """As the audit names who acts: the token's user, as from a page.

        Not the token: a person who proposes at a page and approves by a script is one person still, and what they
        claimed here they can release there. Which token it was is in the console's log.
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
