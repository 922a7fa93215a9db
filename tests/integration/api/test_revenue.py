"""The revenue as scripts read it: what the command tells, by the same functions."""

import orjson
import pytest

from shared.ledger.database import connected
from shared.ledger.revenue.exposure import exposures
from shared.ledger.revenue.lines import json_of
from tests.integration.api.conftest import Connect
from tests.integration.ledger.books import TestBooks
from tests.integration.revenue.accounts import Accounts
from tests.integration.revenue.test_report import one_of_each, report
from tests.statements import stated_batch, stated_usage


async def test_the_report_is_that_of_the_command(books: TestBooks, connect: Connect) -> None:
    await one_of_each(Accounts(books))
    told = await (await connect("vera")).get("/revenue", period="2026-11")
    whole = orjson.loads(json_of(await report(Accounts(books))))
    assert told.json | {"as_of": None} == whole | {"as_of": None}
    assert told.json["currencies"][0]["metered"][0]["unknown_states"]["thawing"]["gross_minor"] == "200"


async def test_a_report_with_differences_and_one_that_compares_nothing_are_as_the_document_says(
    books: TestBooks, connect: Connect
) -> None:
    client, accounts = await connect("vera"), Accounts(books)
    await accounts.fulfil("order-1")
    never = await client.get("/revenue", period="2026-11-20", endpoint="siglume")
    assert (never.json["not_compared"], never.json["is_explained"]) == (["siglume"], False)
    await accounts.sync([stated_usage(), stated_usage("order-8")])
    found = await client.get("/revenue", period="2026-W47")
    assert [(each["about"], each["standing"]) for each in found.json["differences"]] == [
        ("usage:mu-order-8", "in_review")
    ]


async def test_buyers_come_nearest_first(books: TestBooks, connect: Connect) -> None:
    batches = [
        stated_batch(f"batch-{n}", "ready", payments=n, buyer_period_ref=f"buyer-{n}") for n in (3, 45, 50, 1, 60)
    ]
    await Accounts(books).sync([], batches)
    client = await connect("vera")
    found = (await client.get("/revenue/exposure", limit=3)).items
    assert [(each["buyer_period_ref"], each["level"], each["exposure_minor"]) for each in found] == [
        ("buyer-60", "paused", "12000"),
        ("buyer-50", "paused", "10000"),
        ("buyer-45", "warning", "9000"),
    ]
    async with connected(books.pool) as connection:
        assert len((await client.get("/revenue/exposure")).items) == len(await exposures(connection))
    assert (await client.get("/revenue/exposure", endpoint="elsewhere")).items == []


@pytest.mark.parametrize(
    ("query", "field"),
    [({"period": "soon"}, "period"), ({}, "period"), ({"period": "2026", "currency": "JPY"}, "currency")],
)
async def test_what_is_no_question_is_refused_by_name(connect: Connect, query: dict[str, str], field: str) -> None:
    told = await (await connect("vera")).get("/revenue", **query)
    assert (told.problem, told.json["errors"][0]["field"]) == ("invalid", field)


async def test_a_stranger_learns_nothing(connect: Connect) -> None:
    for path in ("/revenue?period=2026", "/revenue/exposure"):
        assert (await (await connect()).get(path)).problem == "unauthenticated"
