"""An export is every row of one moment, a page at a time, in constant memory."""

import csv
import io
import json
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from shared.broker.envelope import Failure
from shared.ledger import dead_letters, discards, platform_evidence, reviews
from shared.ledger.database import connected
from shared.ledger.decisions import Resolution
from shared.ledger.export_lines import ExportFormat
from shared.ledger.exports import By, Export, NoTimeOfPayment, column_names, stream
from shared.ledger.suggestions import Suggestion
from tests.given import NOW, challenge_hash, envelope, incoming, new_order, payment, usage
from tests.integration.ledger.books import TestBooks

FORMULA = "=HYPERLINK(1)"


@pytest.fixture
async def full_books(books: TestBooks) -> TestBooks:
    """Something of everything, and an id that a spreadsheet would run."""
    await books.register(new_order(FORMULA), new_order("order-2"))
    await books.apply(
        incoming(payment("evt-1", FORMULA)),
        incoming(payment("evt-2", "order-3"), received_at=NOW + timedelta(minutes=1)),
    )
    async with connected(books.pool) as connection:
        await dead_letters.archive(connection, [(envelope(b"\xff"), Failure("malformed:not_json", "E", "line 1\n2"))])
        await discards.discard(connection, discards.Selection(ids=[1]), actor="test", why="garbage")
    return books


async def exported(
    books: TestBooks,
    what: Export,
    form: ExportFormat,
    **asked: Any,  # noqa: ANN401 - as `stream` takes them
) -> str:
    async with connected(books.pool) as connection:
        pages = [page async for page in stream(connection, what, form, **asked)]
    return b"".join(page.data for page in pages).decode()


async def lines(books: TestBooks, what: Export, **asked: Any) -> list[dict[str, object]]:  # noqa: ANN401
    return [json.loads(line) for line in (await exported(books, what, ExportFormat.JSONL, **asked)).splitlines()]


async def table(books: TestBooks, what: Export) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(await exported(books, what, ExportFormat.CSV), newline=""), strict=True))


@pytest.mark.parametrize("what", list(Export))
async def test_both_forms_hold_the_same_rows_under_the_same_names(full_books: TestBooks, what: Export) -> None:
    as_lines, as_table = await lines(full_books, what), await table(full_books, what)
    assert len(as_lines) == len(as_table) > 0
    for line, row in zip(as_lines, as_table, strict=True):
        assert tuple(line) == tuple(row) == column_names(what)


async def test_orders_tell_money_in_minor_units(full_books: TestBooks) -> None:
    paid, pending = await lines(full_books, Export.ORDERS)
    assert (paid["order_id"], paid["amount_minor"], paid["currency"], paid["state"]) == (FORMULA, 1200, "JPY", "paid")
    assert (pending["challenge_hashes"], pending["paid_at"]) == ([challenge_hash("order-2")], None)
    row, _ = await table(full_books, Export.ORDERS)
    assert (row["order_id"], row["amount_minor"]) == (f"'{FORMULA}", "1200")


async def test_json_columns_are_json_and_control_characters_escapes(full_books: TestBooks) -> None:
    (review,) = await lines(full_books, Export.REVIEWS)
    event = json.loads(payment("evt-2", "order-3"))
    told = event["data"] | {"occurred_at": datetime.fromisoformat(event["occurred_at"]).isoformat()}
    assert review["evidence"] == {"event": told, "order": None}
    *_, discarded = await lines(full_books, Export.AUDIT)
    assert isinstance(discarded["detail"], dict)
    assert discarded["detail"]["why"] == "garbage"
    (letter,) = await table(full_books, Export.DEAD_LETTERS)
    assert letter["detail"] == r"line 1\n2"


async def test_a_review_tells_what_the_platform_says_of_it_and_what_that_suggests(full_books: TestBooks) -> None:
    async with connected(full_books.pool) as connection:
        review, _ = await reviews.find(connection, 1)
        suggestion = Suggestion(Resolution.REPROCESS, FORMULA)
        await platform_evidence.attach(connection, review, {"session": {"state": FORMULA}}, suggestion, ask_at=None)
    (line,), (row,) = await lines(full_books, Export.REVIEWS), await table(full_books, Export.REVIEWS)
    assert line["platform"] == {"session": {"state": FORMULA}}
    assert isinstance(line["suggested"], dict)
    assert (line["suggested"]["resolution"], line["suggested"]["why"]) == ("reprocess", FORMULA)
    assert json.loads(row["platform"]) == line["platform"]
    assert json.loads(row["suggested"]) == line["suggested"]


async def test_an_empty_table_has_its_heading(books: TestBooks) -> None:
    assert await exported(books, Export.AUDIT, ExportFormat.CSV) == ",".join(column_names(Export.AUDIT)) + "\r\n"
    assert await exported(books, Export.AUDIT, ExportFormat.JSONL) == ""


async def test_a_span_of_time_leaves_its_end_out(full_books: TestBooks) -> None:
    later = NOW + timedelta(minutes=1)
    assert [event["event_id"] for event in await lines(full_books, Export.EVENTS, until=later)] == ["evt-1"]
    assert [event["event_id"] for event in await lines(full_books, Export.EVENTS, since=later)] == ["evt-2"]


async def test_orders_can_follow_their_payments(books: TestBooks) -> None:
    """As an accountant reads them: a month's takings, whenever the orders were registered."""
    await books.register(*(new_order(f"order-{number}") for number in range(4)), new_order("micro", 200))
    paid_on = {"order-2": "2026-09-30T23:59:59Z", "order-0": "2026-10-01T00:00:00Z", "order-1": "2026-10-31T12:00:00Z"}
    for order_id, at in reversed(paid_on.items()):
        raw = payment(f"evt-{order_id}", order_id).replace(b"2026-11-20T11:59:58Z", at.encode())
        await books.apply(raw)
    await books.apply(usage("evt-micro", "micro"))
    rows = await lines(books, Export.ORDERS, by=By.PAID)
    assert [(row["order_id"], row["paid_at"]) for row in rows] == list(paid_on.items())
    october = {"since": datetime(2026, 10, 1, tzinfo=UTC), "until": datetime(2026, 11, 1, tzinfo=UTC)}
    assert [row["order_id"] for row in await lines(books, Export.ORDERS, by=By.PAID, **october)] == [
        "order-0",
        "order-1",
    ]
    assert tuple(rows[0]) == column_names(Export.ORDERS)
    with pytest.raises(NoTimeOfPayment):
        await lines(books, Export.EVENTS, by=By.PAID)


MANY = 200_000


async def test_many_rows_are_of_one_moment_and_never_held_at_once(books: TestBooks) -> None:
    await books.rows(
        """
        INSERT INTO kessai.audit (actor, action, subject, detail)
        SELECT 'test', 'order.moved', 'order-' || number, '{"why": "because"}'
        FROM generate_series(1, $1) AS number
        """,
        MANY,
    )
    memory = psutil.Process().memory_info
    rows = grown = 0
    async with (
        connected(books.pool) as connection,
        aclosing(stream(connection, Export.AUDIT, ExportFormat.JSONL)) as pages,
    ):
        async for page in pages:
            if not rows:
                before = memory().rss
                await books.rows("INSERT INTO kessai.audit (actor, action, subject) VALUES ('late', 'late', 'late')")
            rows += page.rows
            grown = max(grown, memory().rss - before)
    assert rows == MANY
    assert grown < 16 * 1024 * 1024  # the rows themselves are five times that


async def test_leaving_an_export_early_frees_the_connection(full_books: TestBooks) -> None:
    async with connected(full_books.pool) as connection:
        async with aclosing(stream(connection, Export.EVENTS, ExportFormat.JSONL)) as pages:
            async for page in pages:
                assert page.rows
                break
        assert await connection.fetchval("SHOW transaction_read_only") == "off"
        assert not connection.is_in_transaction()
