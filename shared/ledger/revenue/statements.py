"""Pages of the platform's statements on their way into the books: each whole, in one transaction, or not at all.

A page that comes again changes nothing. Nothing here moves an order: `settling.py` does, from what the books then hold.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from shared.ledger.columns import given, pack
from shared.ledger.database import Connection
from shared.ledger.revenue import batches, syncs, usage
from shared.ledger.revenue.batches import StatedBatch
from shared.ledger.revenue.conditions import FINAL_MONEY
from shared.ledger.revenue.pairing import pair
from shared.ledger.revenue.syncs import List
from shared.ledger.revenue.usage import StatedUsage
from shared.sdrp.api.batches import SettlementBatch
from shared.sdrp.api.usage import ProviderUsageEvent

Row = TypeVar("Row", StatedUsage, StatedBatch)


class Applied(NamedTuple):
    """What a page did."""

    new: int
    changed: int
    same: int
    """Rows that the books held like that."""
    is_next: bool
    """Whether it was the page that the run was waiting for; else the run stays where it is."""


async def apply_usage_page(
    connection: Connection,
    endpoint: str,
    rows: Sequence[ProviderUsageEvent],
    next_cursor: str | None,
    *,
    cursor: str | None,
    stated_at: datetime,
) -> Applied:
    """Book one page of usage, which was asked for with `cursor` at `stated_at`."""
    async with connection.transaction():
        await syncs.hold(connection, endpoint)
        known = await find_usage(connection, [row.metered_usage_id for row in rows])
        stated = [StatedUsage.of(row, endpoint=endpoint, stated_at=stated_at) for row in rows]
        final = await _final_batches(connection, stated, known.values())
        held = dict(known)
        for row in stated:
            held[row.metered_usage_id] = usage.after(held.get(row.metered_usage_id), row, final.__contains__)
        fresh = await pair(connection, endpoint, _differing(held, known))
        await _write(connection, WRITE_USAGE, USAGE_TYPES, fresh)
        await _tell_batches(connection, {row.settlement_batch_id for row in fresh if row.paired_with} & final)
        is_next = await syncs.advance(
            connection, endpoint, List.USAGE, cursor=cursor, next_cursor=next_cursor, now=stated_at
        )
    return _applied(fresh, known, len(rows), is_next, "metered_usage_id")


async def apply_batch_page(
    connection: Connection,
    endpoint: str,
    rows: Sequence[SettlementBatch],
    next_cursor: str | None,
    *,
    cursor: str | None,
    stated_at: datetime,
) -> Applied:
    """Book one page of settlement batches, which was asked for with `cursor` at `stated_at`."""
    async with connection.transaction():
        await syncs.hold(connection, endpoint)
        fresh, known = await _book_batches(connection, endpoint, rows, stated_at)
        is_next = await syncs.advance(
            connection, endpoint, List.BATCHES, cursor=cursor, next_cursor=next_cursor, now=stated_at
        )
    return _applied(fresh, known, len(rows), is_next, "settlement_batch_id")


async def apply_batch(connection: Connection, endpoint: str, batch: SettlementBatch, *, stated_at: datetime) -> Applied:
    """Book a batch that was asked for by itself; a run through the list stays where it is."""
    async with connection.transaction():
        await syncs.hold(connection, endpoint)
        fresh, known = await _book_batches(connection, endpoint, [batch], stated_at)
    return _applied(fresh, known, 1, False, "settlement_batch_id")


async def _book_batches(
    connection: Connection, endpoint: str, rows: Sequence[SettlementBatch], stated_at: datetime
) -> tuple[list[StatedBatch], dict[str, StatedBatch]]:
    """Those that were written, and what the books held of all."""
    known = await find_batches(connection, [row.settlement_batch_id for row in rows])
    held = dict(known)
    for row in rows:
        stated = StatedBatch.of(row, endpoint=endpoint, stated_at=stated_at)
        held[row.settlement_batch_id] = batches.after(held.get(row.settlement_batch_id), stated)
    fresh = _differing(held, known)
    await _write(connection, WRITE_BATCHES, BATCH_TYPES, fresh)
    return fresh, known


async def find_usage(connection: Connection, ids: Sequence[str]) -> dict[str, StatedUsage]:
    """The rows that the books hold of these."""
    rows = await connection.fetch(
        f"""
        SELECT {", ".join(StatedUsage._fields)}
        FROM kessai.statement_usage
        WHERE metered_usage_id = ANY ($1::text[])
        """,
        ids,
    )
    return {row["metered_usage_id"]: StatedUsage._make(row) for row in rows}


async def find_batches(connection: Connection, ids: Sequence[str]) -> dict[str, StatedBatch]:
    """The batches that the books hold of these."""
    rows = await connection.fetch(
        f"""
        SELECT {", ".join(StatedBatch._fields)}
        FROM kessai.statement_batches
        WHERE settlement_batch_id = ANY ($1::text[])
        """,
        ids,
    )
    return {row["settlement_batch_id"]: StatedBatch.from_row(row) for row in rows}


async def _final_batches(
    connection: Connection, stated: Iterable[StatedUsage], known: Iterable[StatedUsage]
) -> set[str]:
    """Those of the rows' batches that are settled or given up."""
    ids = {id_ for row in (*stated, *known) if (id_ := row.settlement_batch_id)}
    if not ids:
        return set()
    rows = await connection.fetch(
        f"""
        SELECT settlement_batch_id
        FROM kessai.statement_batches
        WHERE settlement_batch_id = ANY ($1::text[]) AND money IN {FINAL_MONEY}
        """,
        sorted(ids),
    )
    return {row["settlement_batch_id"] for row in rows}


async def _tell_batches(connection: Connection, ids: Collection[str | None]) -> None:
    """Final batches that hold usage which was not known to be theirs: its orders are to hear of it."""
    if ids:
        await connection.execute(
            """
            UPDATE kessai.statement_batches
            SET orders_due = true
            WHERE settlement_batch_id = ANY ($1::text[]) AND NOT orders_due
            """,
            list(ids),
        )


def _upsert(table: str, key: str, types: Mapping[str, str]) -> str:
    columns = ", ".join(types)
    changes = ", ".join(f"{name} = excluded.{name}" for name in types if name != key)
    return f"""
    INSERT INTO kessai.{table} ({columns})
    SELECT {columns}
    FROM {given(**types)}
    ON CONFLICT ({key}) DO UPDATE SET {changes}
    """


_TYPES = {"numeric": Decimal, "timestamptz": datetime, "bigint": int, "boolean": bool}
"""SQL types of the columns that are no text."""
_TEXTS = ("text", "json")


def _types(row: type[NamedTuple]) -> dict[str, str]:
    """The SQL type of each column, as the field of its name is annotated."""
    return {
        name: next((sql for sql, type_ in _TYPES.items() if annotation in (type_, type_ | None)), "text")
        for name, annotation in row.__annotations__.items()
    } | {"disputed": "json"}


USAGE_TYPES = _types(StatedUsage)
BATCH_TYPES = _types(StatedBatch)
WRITE_USAGE = _upsert("statement_usage", "metered_usage_id", USAGE_TYPES)
WRITE_BATCHES = _upsert("statement_batches", "settlement_batch_id", BATCH_TYPES)


async def _write(
    connection: Connection, query: str, types: Mapping[str, str], rows: Sequence[tuple[object, ...]]
) -> None:
    if rows:
        columns = map(_column, types.values(), zip(*rows, strict=True))
        await connection.execute(query, *pack(*columns))


def _column(sql_type: str, values: tuple[Any, ...]) -> Sequence[str | None]:
    return values if sql_type in _TEXTS else [None if value is None else str(value) for value in values]


def _differing(held: Mapping[str, Row], known: Mapping[str, Row]) -> list[Row]:
    """The rows that are to be written."""
    return [row for id_, row in held.items() if row is not known.get(id_)]


def _applied(fresh: Sequence[Row], known: Mapping[str, Row], rows: int, is_next: bool, key: str) -> Applied:
    changed = sum(getattr(row, key) in known for row in fresh)
    return Applied(new=len(fresh) - changed, changed=changed, same=rows - len(fresh), is_next=is_next)
