"""Whatever the platform answers: one clear error, nothing half-written, and the next honest answer is taken."""

from collections.abc import Callable

import orjson
import pytest
from aiohttp import web

from shared.ledger.database import Pool
from shared.ledger.revenue.money import Money
from shared.ledger.revenue.syncs import List
from shared.sdrp.api.errors import PagesInCircles, SiglumeApiError, UnusableAnswer
from tests import platform_answers
from tests.given import ENDPOINT, NOW, challenge_hash, new_order, usage
from tests.integration.ledger.books import TestBooks
from tests.integration.platform_api.platform import Handler, data, hang_up, raw, refusal
from tests.integration.reconcile.account import PAGE, Account, run
from workers.reconcile.result import Reconciled

HTML = b"<html><body>" + b"<p>maintenance</p>" * 500 + b"</body></html>"


def with_bad_row(**changed: object) -> Handler:
    rows = [platform_answers.usage_event(number) for number in (90, 91)]
    return data(platform_answers.page([*rows, platform_answers.usage_event(92, **changed)]))


BAD: dict[str, tuple[Callable[[], Handler], str]] = {
    "HTML instead of JSON": (lambda: raw(HTML, content_type="text/html"), "no JSON"),
    "10 MB of JSON": (lambda: raw(orjson.dumps({"data": {"items": ["x" * 10_000_000]}})), "longer than"),
    "JSON that ends early": (lambda: raw(b'{"data": {"items": [{"metered_usage_id": "mu_'), "no JSON"),
    "a connection that breaks": (lambda: hang_up(b'{"data"', length=100), "did not answer"),
    "a list instead of an object": (lambda: data([]), "not an object"),
    "rows that are no list": (lambda: data({"items": {}, "next_cursor": None}), "items"),
    "an amount beyond all bounds": (lambda: with_bad_row(provider_gross_amount_minor=1e31), "provider_gross"),
    "an amount that is no number": (lambda: with_bad_row(protocol_fee_minor="many"), "protocol_fee_minor"),
    "an id that is a number": (lambda: with_bad_row(metered_usage_id=92), "metered_usage_id"),
    "a time that is none": (lambda: with_bad_row(created_at="yesterday"), "created_at"),
    "text that Postgres cannot keep": (lambda: with_bad_row(listing_id="a\0b"), "listing_id"),
    "a cursor that is a number": (lambda: data({"items": [], "next_cursor": 7}), "next_cursor"),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_page_that_makes_no_sense_leaves_nothing_of_itself(
    what: str, pool: Pool, books: TestBooks, there: Account
) -> None:
    there.bought(7)
    make, says = BAD[what]
    there.bent[f"usage-events?{PAGE}"] = make()
    with pytest.raises(SiglumeApiError, match=says) as failed:
        await run(pool, there)
    assert "\n" not in str(failed.value)
    assert len(str(failed.value)) < 400
    assert await books.value("SELECT count(*) FROM kessai.statement_usage") == PAGE
    assert await books.value("SELECT count(*) FROM kessai.reviews") == 0
    there.bent.clear()
    assert (await run(pool, there)).compared.until is not None
    assert await books.value("SELECT count(*) FROM kessai.statement_usage") == 7


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_refusal_is_told_and_the_run_waits_where_it_is(
    status: int, pool: Pool, books: TestBooks, there: Account
) -> None:
    there.bought(7)
    there.bent[f"usage-events?{PAGE}"] = refusal(status)
    with pytest.raises(SiglumeApiError, match=str(status)):
        await run(pool, there)
    assert await books.value("SELECT cursor FROM kessai.statement_syncs WHERE what = 'usage'") == str(PAGE)


async def test_a_state_that_nobody_knows_is_money_that_is_not_settled(
    pool: Pool, books: TestBooks, there: Account
) -> None:
    there.closed(1, "settled_in_gold")
    assert (await run(pool, there)).lists[List.BATCHES].new == 1
    row = await books.row("SELECT money, status FROM kessai.statement_batches")
    assert (row["money"], row["status"]) == (Money.UNSETTLED, "settled_in_gold")


@pytest.mark.parametrize("loop", ["the same cursor", "the same page", "no end of empty pages"])
async def test_pages_in_circles_are_read_again_once_and_then_given_up(
    loop: str, pool: Pool, books: TestBooks, there: Account
) -> None:
    there.bought(7)
    page = platform_answers.page(there.usage[:PAGE])
    numbers = iter(range(100, 100_000))

    async def same_page(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": page | {"next_cursor": str(next(numbers))}})

    async def empty(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"items": [], "next_cursor": str(next(numbers))}})

    there.bent["usage-events"] = {
        "the same cursor": data(page | {"next_cursor": "7"}),
        "the same page": same_page,
        "no end of empty pages": empty,
    }[loop]
    with pytest.raises(PagesInCircles):
        await run(pool, there)
    sync = await books.row("SELECT cursor, begun_at FROM kessai.statement_syncs WHERE what = 'usage'")
    assert (sync["cursor"], sync["begun_at"]) == (None, None)
    there.bent.clear()
    assert (await run(pool, there)).finished_at == NOW
    assert await books.value("SELECT count(*) FROM kessai.statement_usage") == 7


async def test_pages_that_went_in_circles_once_are_a_note(pool: Pool, books: TestBooks, there: Account) -> None:
    there.bought(7)
    circle = data(platform_answers.page(there.usage[PAGE : 2 * PAGE], "3"))

    async def once(request: web.Request) -> web.StreamResponse:
        del there.bent["usage-events?3"]
        return await circle(request)

    there.bent["usage-events?3"] = once
    found = await run(pool, there)
    assert (len(found.notes), found.finished_at) == (1, NOW)
    assert await books.value("SELECT count(*) FROM kessai.statement_usage") == 7


async def test_another_batch_than_the_one_asked_for_is_refused(pool: Pool, there: Account) -> None:
    there.closed(1, "past_due", at=NOW)
    await run(pool, there)
    there.batches.clear()
    there.bent["settlement-batches/msb_1"] = data(platform_answers.batch(2))
    with pytest.raises(UnusableAnswer, match="another batch"):
        await run(pool, there)


async def test_a_batch_that_the_platform_no_longer_knows_is_a_note(pool: Pool, there: Account) -> None:
    there.closed(1, "past_due", at=NOW)
    await run(pool, there)
    there.batches.clear()
    there.bent["settlement-batches/msb_1"] = refusal(404)
    found = await run(pool, there)
    assert found.notes == ["Siglume no longer knows batch msb_1, which it listed before"]


@pytest.mark.parametrize(
    ("list_", "answer"),
    [
        ("usage-events", lambda: with_bad_row(created_at="yesterday")),
        ("usage-events", lambda: refusal(503)),
        ("settlement-batches?3", lambda: data(platform_answers.page([platform_answers.batch(9, status=7)]))),
    ],
)
async def test_what_was_read_settles_orders_although_a_list_ends_in_an_error(
    list_: str, answer: Callable[[], Handler], pool: Pool, books: TestBooks, there: Account
) -> None:
    await books.register(new_order("order-1", 200))
    await books.apply(usage("evt-1"))
    row = {"requirement_id": "req-order-1", "challenge_hash": challenge_hash("order-1")}
    there.usage.append(platform_answers.usage_event(1, **row))
    there.closed(1)
    if list_ == "usage-events":
        await run(pool, there)
    there.batches.clear()
    for number in range(1 + PAGE, 0, -1):
        there.closed(number, "settled" if number == 1 else "ready")
    there.bent[list_] = answer()
    result = Reconciled(ENDPOINT)
    with pytest.raises(SiglumeApiError):
        await run(pool, there, result=result)
    assert (await books.order("order-1")).state == "settled"
    assert (result.moved, result.finished_at) == ({"settled": 1}, None)
    assert await books.value("SELECT count(*) FROM kessai.reviews") == 0, "nothing is compared"


async def test_amounts_that_are_json_numbers_are_exact(pool: Pool, books: TestBooks, there: Account) -> None:
    """Platforms write amounts as text; one that does not must not stop what else is settled."""
    written = {"provider_gross_amount_minor": "9007199254740993", "protocol_fee_minor": "0.20000000000000001"}
    row = orjson.dumps(platform_answers.usage_event(1, **dict.fromkeys(written, "?"), provider_receivable_minor=2e2))
    for name, number in written.items():
        row = row.replace(f'"{name}":"?"'.encode(), f'"{name}":{number}'.encode())
    there.bent["usage-events"] = raw(b'{"data":{"items":[%b],"next_cursor":null}}' % row)
    await run(pool, there)
    booked = await books.row("SELECT * FROM kessai.statement_usage")
    assert {name: str(booked[name]) for name in written} == written
    assert booked["provider_receivable_minor"] == 200
