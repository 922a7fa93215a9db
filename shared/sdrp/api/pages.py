"""How are all rows of a list fetched, page by page, without going in circles?"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic, TypeVar

from shared.sdrp.api.errors import PagesInCircles
from shared.sdrp.api.records import MAX_CURSOR, Record

MAX_EMPTY_PAGES = 100
"""The most empty pages in a row: a platform that sends more of them never ends its list."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows, and the cursor of the next page, from which a later walk can continue; None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None


def read_page(data: object, call: str, read: Callable[[Record], T]) -> Page[T]:
    """Raises UnusableAnswer."""
    record = Record(data, call)
    return Page(record.records("items", read), record.text_or_none("next_cursor", MAX_CURSOR))


class Trail:
    """The cursors and pages of one walk, as digests: 16 bytes for each."""

    def __init__(self) -> None:
        self._cursors: set[bytes] = set()
        self._pages: set[bytes] = set()
        self._empty = 0

    def enter(self, cursor: str | None) -> None:
        """Call it before the page of a cursor is fetched. Raises PagesInCircles when it was fetched before."""
        if cursor is not None and not _is_new(cursor, self._cursors):
            raise PagesInCircles("Siglume's pages go in circles: a cursor was repeated; start again, or report it")

    def see(self, ids: list[str]) -> None:
        """Call it with each page. Raises PagesInCircles for a page that came before, or after too many empty ones."""
        self._empty = 0 if ids else self._empty + 1
        if self._empty > MAX_EMPTY_PAGES:
            raise PagesInCircles(f"Siglume sent {self._empty} empty pages in a row: report it")
        if ids and not _is_new("\0".join(ids), self._pages):
            raise PagesInCircles("Siglume's pages go in circles: a page was repeated; start again, or report it")


async def walk(
    fetch: Callable[[str | None], Awaitable[Page[T]]], *, cursor: str | None, identify: Callable[[T], str]
) -> AsyncIterator[Page[T]]:
    """Every page from `cursor` on, from the first when it is None. Raises PagesInCircles and what `fetch` raises."""
    trail = Trail()
    while True:
        trail.enter(cursor)
        page = await fetch(cursor)
        trail.see([identify(item) for item in page.items])
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


async def rows(pages: AsyncIterator[Page[T]]) -> AsyncIterator[T]:
    """The rows of all pages, one by one."""
    async for page in pages:
        for item in page.items:
            yield item


def _is_new(value: str, seen: set[bytes]) -> bool:
    digest = blake2b(value.encode(), digest_size=16).digest()
    if digest in seen:
        return False
    seen.add(digest)
    return True
