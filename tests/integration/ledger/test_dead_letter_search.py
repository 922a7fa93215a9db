"""Dead letters are found by what they are and by what they hold, are grouped by their error, and end by decision."""

import json
from datetime import timedelta

import pytest

from shared.broker.envelope import Failure
from shared.ledger import dead_letter_search, dead_letters, discards
from shared.ledger.database import connected
from shared.ledger.dead_letter_search import DeadLetter, DeadLetterFilter, DeadLetterNotFound, DeadLetterState
from shared.ledger.discards import DeadLetterElsewhere, GroupChanged, NothingSelected, Selection
from shared.ledger.text import InvalidWhy
from tests.given import NOW, challenge_hash, envelope, new_order, payment
from tests.integration.ledger.books import TestBooks

FAULT, REFUSED = Failure("handler_error", "KeyError"), Failure("unacceptable_row", "CheckViolationError")
GARBAGE = b"\xffgarbage 100%\x00_"


@pytest.fixture
async def dead_books(books: TestBooks) -> TestBooks:
    """Ids from 1: two alike at siglume, the same fault at another endpoint, another error, no event at all."""
    letters = [
        (envelope(payment("evt-1", "order-1"), received_at=NOW), FAULT),
        (envelope(payment("evt-2", "order-2"), received_at=NOW + timedelta(minutes=1)), FAULT),
        (envelope(payment("evt-1"), endpoint="tea_shop", received_at=NOW + timedelta(minutes=2)), FAULT),
        (envelope(payment("evt-3", "order-3"), received_at=NOW + timedelta(minutes=3)), REFUSED),
        (envelope(GARBAGE, received_at=NOW + timedelta(minutes=4)), Failure("malformed:not_json", "MalformedEvent")),
    ]
    async with connected(books.pool) as connection:
        for letter in letters:  # one by one: the archive numbers them by their receipts
            await dead_letters.archive(connection, [letter])
    await books.rows("UPDATE kessai.dead_letters SET state = 'resolved' WHERE dead_letter_id = 4")
    await books.register(new_order("order-2"))
    return books


async def found(books: TestBooks, wanted: DeadLetterFilter) -> list[int]:
    async with connected(books.pool) as connection:
        return [each.dead_letter_id for each in await dead_letter_search.search(connection, wanted, limit=100)]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (DeadLetterFilter(), [5, 4, 3, 2, 1]),
        (DeadLetterFilter(state="resolved"), [4]),
        (DeadLetterFilter(reason="handler_error", endpoint="siglume"), [2, 1]),
        (DeadLetterFilter(type="direct_payment.confirmed", since=NOW + timedelta(minutes=1)), [4, 3, 2]),
        (DeadLetterFilter(kind="standard_settled"), [4, 3, 2, 1]),
        (DeadLetterFilter(kind="unread"), [5]),
        (DeadLetterFilter(event_id="evt-1"), [3, 1]),
        (DeadLetterFilter(event_id="evt-1", endpoint="tea_shop"), [3]),
        (DeadLetterFilter(order_id="order-2"), [2]),
        (DeadLetterFilter(order_id="order-1"), []),
        (DeadLetterFilter(challenge_hash=challenge_hash("order-2")), [2]),
        (DeadLetterFilter(raw_holds=b'"evt-1"'), [3, 1]),
        (DeadLetterFilter(raw_holds=b"\xffgarbage 100%\x00_"), [5]),
        (DeadLetterFilter(raw_holds=b"garbage%_"), []),
        (DeadLetterFilter(since=NOW + timedelta(minutes=1), until=NOW + timedelta(minutes=3)), [3, 2]),
        (DeadLetterFilter(group_id="no such group"), []),
    ],
)
async def test_everything_that_is_given_holds(dead_books: TestBooks, wanted: DeadLetterFilter, ids: list[int]) -> None:
    assert await found(dead_books, wanted) == ids


async def test_an_order_leads_to_the_dead_letters_of_the_events_that_moved_it(books: TestBooks) -> None:
    await books.register(new_order())
    async with connected(books.pool) as connection:
        await dead_letters.archive(connection, [(envelope(payment()), FAULT)])
    await books.apply(payment())
    assert await found(books, DeadLetterFilter(order_id="order-1")) == [1]


async def test_what_fails_in_the_same_way_is_one_group(dead_books: TestBooks) -> None:
    async with connected(dead_books.pool) as connection:
        first, *others = await dead_letter_search.groups(connection, state="open")
    assert (first.reason, first.error, first.kind, first.endpoint) == (
        *("handler_error", "KeyError", "standard_settled", "siglume"),
    )
    assert (first.count, first.first_seen < first.last_seen, first.example_id in (1, 2)) == (2, True, True)
    assert await found(dead_books, DeadLetterFilter(group_id=first.group_id)) == [2, 1]
    assert sorted((each.endpoint, each.reason, each.count) for each in others) == [
        ("siglume", "malformed:not_json", 1),
        ("tea_shop", "handler_error", 1),
    ]
    async with connected(dead_books.pool) as connection:
        assert len(await dead_letter_search.groups(connection)) == 4
        assert [each.reason for each in await dead_letter_search.groups(connection, state="resolved")] == [
            "unacceptable_row"
        ]


async def test_pages_hold_each_dead_letter_once_even_of_one_moment(books: TestBooks) -> None:
    async with connected(books.pool) as connection:
        await dead_letters.archive(connection, [(envelope(payment(f"evt-{number}")), FAULT) for number in range(7)])
        pages: list[list[DeadLetter]] = []
        page = await dead_letter_search.search(connection, DeadLetterFilter(), limit=3)
        while page:
            pages.append(page)
            page = await dead_letter_search.search(connection, DeadLetterFilter(), limit=3, before=page[-1].place)
    assert [each.dead_letter_id for page in pages for each in page] == [7, 6, 5, 4, 3, 2, 1]


async def discard(books: TestBooks, chosen: Selection, why: str = "a scanner's garbage") -> list[int]:
    async with connected(books.pool) as connection:
        return await discards.discard(connection, chosen, actor="test", why=why)


async def seen(books: TestBooks, dead_letter_id: int, state: DeadLetterState = DeadLetterState.OPEN) -> Selection:
    """The group of this dead letter, as somebody sees it now."""
    group = await books.value("SELECT group_id FROM kessai.dead_letters WHERE dead_letter_id = $1", dead_letter_id)
    async with connected(books.pool) as connection:
        versions = await discards.versions(connection, [group], state=state)
    return Selection(group_id=group, version=versions[group])


async def states(books: TestBooks) -> list[str]:
    rows = await books.rows("SELECT state FROM kessai.dead_letters ORDER BY dead_letter_id")
    return [row["state"] for row in rows]


async def test_discarded_ones_are_closed_with_who_and_why_and_their_bytes_stay(dead_books: TestBooks) -> None:
    group = await seen(dead_books, 1)
    assert await discard(dead_books, group) == [1, 2]
    assert await states(dead_books) == ["discarded", "discarded", "open", "resolved", "open"]
    rows = await dead_books.rows("SELECT * FROM kessai.audit WHERE action LIKE 'dead_letter%' ORDER BY audit_id")
    assert [(row["actor"], row["action"], row["subject"], row["event_id"]) for row in rows] == [
        ("test", "dead_letter.discarded", "dead_letter:1", "evt-1"),
        ("test", "dead_letter.discarded", "dead_letter:2", "evt-2"),
    ]
    assert (rows[0]["from_state"], rows[0]["to_state"]) == ("open", "discarded")
    assert json.loads(rows[0]["detail"]) == {"why": "a scanner's garbage", "group_id": group.group_id}
    async with connected(dead_books.pool) as connection:
        letter, raw = await dead_letter_search.find(connection, 1)
    assert (letter.closed_at is not None, raw) == (True, payment("evt-1", "order-1"))


async def test_a_group_in_which_one_letter_took_the_place_of_another_is_not_discarded(dead_books: TestBooks) -> None:
    group = await seen(dead_books, 1)
    async with connected(dead_books.pool) as connection:
        await discards.discard(connection, Selection(ids=[2]), actor="somebody else", why="of a test")
        await dead_letters.archive(connection, [(envelope(payment("evt-6", "order-1")), FAULT)])
    assert (await seen(dead_books, 6)).group_id == group.group_id
    before = await dead_books.everything("dead_letters", "audit")
    with pytest.raises(GroupChanged, match="2 are open by now"):
        await discard(dead_books, group)
    assert await dead_books.everything("dead_letters", "audit") == before
    assert await discard(dead_books, await seen(dead_books, 1)) == [1, 6]
    async with connected(dead_books.pool) as connection:
        ids = await discards.reopen(
            connection, await seen(dead_books, 1, DeadLetterState.DISCARDED), actor="test", why="they are needed"
        )
    assert ids == [1, 2, 6]


async def test_a_discard_can_be_taken_back(dead_books: TestBooks) -> None:
    await discard(dead_books, Selection(ids=[5, 3, 5]))
    async with connected(dead_books.pool) as connection:
        assert await discards.reopen(connection, Selection(ids=[5]), actor="test", why="it was ours") == [5]
    assert await states(dead_books) == ["open", "open", "discarded", "resolved", "open"]
    row = await dead_books.row("SELECT * FROM kessai.dead_letters WHERE dead_letter_id = 5")
    assert row["closed_at"] is None
    assert await dead_books.value("SELECT count(*) FROM kessai.audit WHERE action = 'dead_letter.reopened'") == 1


@pytest.mark.parametrize(
    ("chosen", "why", "refusal"),
    [
        (Selection(), "why", NothingSelected),
        (Selection(group_id="no such group"), "why", NothingSelected),
        (Selection(ids=[1, 4711]), "why", DeadLetterNotFound),
        (Selection(ids=[1, 4]), "why", DeadLetterElsewhere),
        (Selection(ids=[1]), " ", InvalidWhy),
        (Selection(ids=[1]), "a\0b", InvalidWhy),
        (Selection(ids=[1]), "a\udcffb", InvalidWhy),
        (Selection(ids=[1]), "x" * 4001, InvalidWhy),
    ],
)
async def test_a_selection_that_does_not_fit_changes_nothing(
    dead_books: TestBooks, chosen: Selection, why: str, refusal: type[Exception]
) -> None:
    before = await dead_books.everything("dead_letters", "audit")
    with pytest.raises(refusal):
        await discard(dead_books, chosen, why)
    assert await dead_books.everything("dead_letters", "audit") == before
