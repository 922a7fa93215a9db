"""Webhooks and pages of statements in any order, any number of times: the same books in the end, all explained."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.given import new_order, settlement, usage
from tests.integration.revenue.accounts import LATER, REVENUE_TABLES, Accounts
from tests.integration.revenue.test_report import report
from tests.statements import nameless, stated_batch, stated_usage

ORDERS = [f"order-{n}" for n in range(5)]
BATCHES = {"batch-1": "settled", "batch-2": "written_off", "batch-3": "ready"}
PLACES = ["batch-1", "batch-1", "batch-2", "batch-3", None]
ENDS = {"batch-1": "settled", "batch-2": "written_off"}

STORY = [
    *(("usage", name) for name in ORDERS),
    ("batch told", "batch-1"),
    *(("row", name) for name in ORDERS),
    *(("batch", name) for name in BATCHES),
    ("settle", ""),
]


@st.composite
def _histories(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Everything at least once, and some of it again, in any order."""
    again = draw(st.lists(st.sampled_from(STORY), max_size=8))
    return draw(st.permutations([*STORY, *again]))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_histories(), st.booleans())
async def test_the_books_are_the_same(accounts: Accounts, history: list[tuple[str, str]], is_linked: bool) -> None:
    await accounts.books.rows(f"TRUNCATE {', '.join(f'kessai.{table}' for table in REVENUE_TABLES)} RESTART IDENTITY")
    await accounts.books.register(*(new_order(name, 200) for name in ORDERS))
    for what, name in history:
        await _happens(accounts, what, name, is_linked)
    compared = await accounts.sync(_rows(is_linked), _batches(), at=LATER + timedelta(hours=1))
    assert compared.differences == 0
    assert await _states(accounts) == {
        name: ENDS.get(place or "", "fulfilled_unsettled") if is_linked else "fulfilled_unsettled"
        for name, place in zip(ORDERS, PLACES, strict=True)
    }
    ends = ["settled", "settled", "written_off"] if is_linked else []
    told = sorted(name for name, _ in await accounts.books.told())
    assert told == sorted(["batch.settled", *["order.fulfilled_unsettled"] * 5, *(f"order.{end}" for end in ends)])
    assert len(await accounts.books.moves()) == 5 + len(ends)
    found = await report(accounts)
    assert found.is_explained
    assert found.as_json()["currencies"][0]["metered_total"]["settled"]["gross_minor"] == "400"


async def _happens(accounts: Accounts, what: str, name: str, is_linked: bool) -> None:
    match what:
        case "usage":
            await accounts.books.apply(usage(f"evt-{name}", name))
        case "batch told":
            await accounts.books.apply(settlement(f"evt-{name}", name))
        case "row":
            await accounts.usage_page(*(row for row in _rows(is_linked) if row.metered_usage_id == f"mu-{name}"))
        case "batch":
            await accounts.batch_page(*(batch for batch in _batches() if batch.settlement_batch_id == name))
        case "settle":
            await accounts.settle()


def _rows(is_linked: bool) -> Sequence[Any]:
    make = stated_usage if is_linked else nameless
    return [make(name, settlement_batch_id=place) for name, place in zip(ORDERS, PLACES, strict=True)]


def _batches() -> Sequence[Any]:
    return [stated_batch(name, status, payments=PLACES.count(name)) for name, status in BATCHES.items()]


async def _states(accounts: Accounts) -> Mapping[str, str]:
    rows = await accounts.books.rows("SELECT order_id, state FROM kessai.orders")
    return {row["order_id"]: row["state"] for row in rows}
