"""Rows travel to Postgres as joined texts: whatever they hold, they arrive as they were."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.ledger import columns
from shared.ledger.columns import NULL, SEPARATOR, pack
from shared.ledger.database import Pool

_storable = st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])
_awkward = st.sampled_from([SEPARATOR, NULL, SEPARATOR + NULL, "{", "}", '"', "\\", ",", "NULL", "'", "\n", "a"])
_texts = st.lists(_awkward | st.text(_storable, max_size=5), min_size=1, max_size=4).map("".join).filter(bool)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_texts, st.none() | _texts), min_size=1, max_size=8))
async def test_texts_and_nulls_arrive_as_they_were(pool: Pool, rows: list[tuple[str, str | None]]) -> None:
    query = f"SELECT a, b FROM {columns.given(a='text', b='text')}"  # noqa: S608
    arrived = await pool.fetch(query, *pack([a for a, _ in rows], [b for _, b in rows]))
    assert [tuple(row) for row in arrived] == rows


async def test_other_types_are_cast(pool: Pool) -> None:
    query = f"SELECT id, at FROM {columns.given(id='uuid', at='timestamptz')}"  # noqa: S608
    at = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
    rows = await pool.fetch(query, *pack([UUID(int=7).hex, UUID(int=8).hex], [at.isoformat(), None]))
    assert [tuple(row) for row in rows] == [(UUID(int=7), at), (UUID(int=8), None)]


def test_an_empty_text_is_refused_rather_than_lost() -> None:
    with pytest.raises(ValueError, match="empty"):
        pack(["a", ""])
