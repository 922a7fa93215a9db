"""The books as a stream: every row of one kind, as they stood at one moment, in an order that an index gives."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import orjson
from asyncpg import Record

from shared.errors import KessaiError
from shared.ledger import audit
from shared.ledger.conditions import Conditions
from shared.ledger.database import Connection
from shared.ledger.export_lines import ExportFormat, heading, lines

PAGE = 1000
"""Rows that are fetched at once; no more of them are ever held."""


class Export(StrEnum):
    ORDERS = "orders"
    EVENTS = "events"
    REVIEWS = "reviews"
    DEAD_LETTERS = "dead-letters"
    AUDIT = "audit"


class _Source(NamedTuple):
    columns: tuple[str, ...]
    table: str
    time: str
    """The column that `since` and `until` speak of."""
    order: str
    """As an index has it, so that nothing is sorted."""
    holds: str = "true"
    """What is true of all rows that are meant."""
    json: tuple[str, ...] = ()
    """Columns that hold JSON."""


class By(StrEnum):
    """Which of an order's times a span speaks of, and the rows follow."""

    REGISTERED = "registered"
    PAID = "paid"
    """Orders that were paid, and no others."""


class NoTimeOfPayment(KessaiError):
    def __init__(self, what: Export) -> None:
        super().__init__(f"{what} are not paid: only orders can be exported by {By.PAID}")


_HASHES = """
ARRAY(
    SELECT challenge_hash
    FROM kessai.challenges
    WHERE challenges.order_id = orders.order_id
    ORDER BY created_at, challenge_hash
) AS challenge_hashes
"""

_SOURCES = {
    Export.ORDERS: _Source(
        columns=(
            *("order_id", "orders.endpoint", "amount_minor", "currency", "state", "orders.requirement_id"),
            *("chain_receipt_id", "orders.paid_at", "created_at", "updated_at", _HASHES),
        ),
        table="kessai.orders",
        time="created_at",
        order="created_at, order_id",
    ),
    Export.EVENTS: _Source(
        columns=(
            *("endpoint", "event_id", "type", "kind", "outcome", "reason", "order_id", "occurred_at", "received_at"),
            *("applied_at", "deliveries", "receipt_id"),
        ),
        table="kessai.webhook_events",
        time="received_at",
        order="received_at, receipt_id",
    ),
    Export.REVIEWS: _Source(
        columns=(
            *("review_id", "queue", "reason", "state", "endpoint", "event_id", "about", "order_id", "challenge_hash"),
            *(
                "opened_at",
                "closed_at",
                "closed_by",
                "resolution",
                "why",
                "assignee",
                "evidence",
                "platform",
                "suggested",
            ),
        ),
        table="kessai.reviews",
        time="opened_at",
        order="review_id",
        json=("evidence", "platform", "suggested"),
    ),
    Export.DEAD_LETTERS: _Source(
        columns=(
            *("dead_letter_id", "group_id", "state", "reason", "error", "detail", "kind", "type", "endpoint"),
            *("event_id", "challenge_hash", "attempts", "received_at", "first_seen", "last_seen", "closed_at"),
        ),
        table="kessai.dead_letters",
        time="received_at",
        order="received_at, dead_letter_id",
    ),
    Export.AUDIT: _Source(
        columns=(
            *("audit_id", "at", "actor", "action", "subject", "endpoint", "event_id", "from_state", "to_state"),
            "detail",
        ),
        table="kessai.audit",
        time="at",
        order="audit_id",
        json=("detail",),
    ),
}

_ORDERS_BY_PAYMENT = _SOURCES[Export.ORDERS]._replace(
    table="kessai.audit JOIN kessai.orders ON order_id = subject",
    time="audit.paid_at",
    order="audit.paid_at, audit_id",
    holds="audit.paid_at IS NOT NULL",  # as the partial index says it
)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Which rows somebody exports, and in which format. Raises NoTimeOfPayment."""

    what: Export
    form: ExportFormat
    since: datetime | None = None
    until: datetime | None = None
    """Not included."""
    by: By = By.REGISTERED

    def __post_init__(self) -> None:
        _source(self.what, self.by)


class Page(NamedTuple):
    """Some rows, encoded."""

    data: bytes
    rows: int


Row: TypeAlias = list[object]


async def export(
    connection: Connection, request: ExportRequest, *, actor: str, token: str | None = None
) -> AsyncGenerator[Page, None]:
    """Record in the audit who exports what, then yield it as `stream` does.

    `token` is the label of the API token that was used.
    """
    span = {"since": request.since, "until": request.until}
    details = {"format": request.form, **span, "by": None if request.by is By.REGISTERED else request.by}
    await audit.record(
        connection,
        actor=actor,
        action="export.taken",
        subject=f"export:{request.what}",
        detail={name: value for name, value in {**details, "token": token}.items() if value is not None},
    )
    rows = stream(connection, request.what, request.form, since=request.since, until=request.until, by=request.by)
    async with aclosing(rows) as pages:
        async for page in pages:
            yield page


async def stream(
    connection: Connection,
    what: Export,
    form: ExportFormat,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    by: By = By.REGISTERED,
) -> AsyncGenerator[Page, None]:
    """An export page by page; nothing comes before Postgres has answered. Close it when you leave it early.

    `since` and `until` (not included) speak of when an order was registered or paid, an event or a dead letter
    received, a review opened, an act audited. All rows are of one snapshot, which the stream holds until it ends.
    Raises NoTimeOfPayment.
    """
    columns = column_names(what)
    unsaid = heading(columns, form)
    async with aclosing(pages(connection, what, since=since, until=until, by=by)) as fetched:
        async for page in fetched:
            yield Page(unsaid + lines(columns, page, form), len(page))
            unsaid = b""
    if unsaid:
        yield Page(unsaid, 0)


async def pages(
    connection: Connection,
    what: Export,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    by: By = By.REGISTERED,
) -> AsyncGenerator[list[Row], None]:
    """The rows themselves, their values in the order of `column_names`; else as `stream`."""
    source = _source(what, by)
    query, values = _query(source, since, until)
    json = [column in source.json for column in source.columns]
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(READ_ALONG_THE_INDEX)
        cursor = await connection.cursor(query, *values)
        while records := await cursor.fetch(PAGE):
            yield [_row(record, json) for record in records]


def column_names(what: Export) -> tuple[str, ...]:
    return tuple(column.split()[-1].rpartition(".")[2] for column in _SOURCES[what].columns)


# The planner does not know that rows are wanted a page at a time, and would sort the whole table first. Who reads may
# pause (a pager, a slow network) for longer than work that holds locks may.
READ_ALONG_THE_INDEX = """
SET LOCAL enable_sort = off;
SET LOCAL idle_in_transaction_session_timeout = '10min'
"""


def _source(what: Export, by: By) -> _Source:
    """Raises NoTimeOfPayment."""
    if by is By.REGISTERED:
        return _SOURCES[what]
    if what is not Export.ORDERS:
        raise NoTimeOfPayment(what)
    return _ORDERS_BY_PAYMENT


def _query(source: _Source, since: datetime | None, until: datetime | None) -> tuple[str, list[object]]:
    where = Conditions()
    where.add(source.holds)
    where.add_if_given(f"{source.time} >= {{}}", since)
    where.add_if_given(f"{source.time} < {{}}", until)
    query = f"""
    SELECT {", ".join(source.columns)}
    FROM {source.table}
    WHERE {where}
    ORDER BY {source.order}
    """
    return query, where.values


def _row(record: Record, json: Sequence[bool]) -> Row:
    """JSON passes through as the books hold it."""
    return [
        orjson.Fragment(value) if is_json and value is not None else value
        for value, is_json in zip(record.values(), json, strict=True)
    ]
