"""Walking pages ends, or says why it cannot."""

import pytest

from shared.sdrp.api.errors import PagesInCircles
from shared.sdrp.api.pages import MAX_EMPTY_PAGES, Page, rows, walk

Pages = dict[str | None, Page[str]]


async def walked(pages: Pages, cursor: str | None = None, *, into: list[str] | None = None) -> list[str]:
    async def fetch(at: str | None) -> Page[str]:
        return pages[at]

    found = [] if into is None else into
    async for row in rows(walk(fetch, cursor=cursor, identify=str)):
        found.append(row)
    return found


def page(items: str, next_cursor: str | None = None) -> Page[str]:
    return Page(tuple(items), next_cursor)


async def test_every_row_comes_once_in_order() -> None:
    pages: Pages = {None: page("ab", "1"), "1": page("", "2"), "2": page("cd", "3"), "3": page("")}
    assert await walked(pages) == ["a", "b", "c", "d"]


async def test_a_caller_goes_on_from_a_cursor_it_kept() -> None:
    pages: Pages = {None: page("ab", "1"), "1": page("cd", "2"), "2": page("e")}
    assert await walked(pages, cursor="1") == ["c", "d", "e"]


@pytest.mark.parametrize("back_to", ["1", "2"])
async def test_a_cursor_that_comes_back_is_refused(back_to: str) -> None:
    pages: Pages = {None: page("a", "1"), "1": page("b", "2"), "2": page("c", back_to)}
    with pytest.raises(PagesInCircles, match="a cursor was repeated"):
        await walked(pages)


async def test_a_loop_through_the_cursor_that_was_resumed_from_is_refused() -> None:
    with pytest.raises(PagesInCircles, match="a cursor was repeated"):
        await walked({"1": page("a", "2"), "2": page("b", "1")}, cursor="1")


async def test_a_page_that_repeats_under_a_fresh_cursor_is_refused_before_its_rows_count_twice() -> None:
    pages: Pages = {None: page("ab", "1"), "1": page("cd", "2"), "2": page("ab", "3"), "3": page("e")}
    seen: list[str] = []
    with pytest.raises(PagesInCircles, match="a page was repeated"):
        await walked(pages, into=seen)
    assert seen == ["a", "b", "c", "d"]


async def test_pages_that_overlap_are_not_pages_that_repeat() -> None:
    """Rows that were added meanwhile push others onto the next page; the books tell them apart by their ids."""
    pages: Pages = {None: page("ab", "1"), "1": page("bc", "2"), "2": page("cd")}
    assert await walked(pages) == ["a", "b", "b", "c", "c", "d"]


async def test_empty_pages_do_not_go_on_for_ever() -> None:
    empty: Pages = {None: page("", "0")} | {str(n): page("", str(n + 1)) for n in range(MAX_EMPTY_PAGES)}
    assert await walked(empty | {str(MAX_EMPTY_PAGES - 1): page("a")}) == ["a"]
    with pytest.raises(PagesInCircles, match=f"{MAX_EMPTY_PAGES + 1} empty pages"):
        await walked(empty)
