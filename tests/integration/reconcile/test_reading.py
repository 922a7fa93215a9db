"""Statements come into the books page by page; a run goes on where it was, and reads no more than may have changed."""

from datetime import timedelta
from decimal import Decimal

import pytest
from aiohttp import web

from shared.ledger.database import Pool, connected
from shared.ledger.revenue import syncs
from shared.ledger.revenue.money import Money, plain
from shared.ledger.revenue.periods import Period
from shared.ledger.revenue.report import revenue
from shared.ledger.revenue.syncs import List
from shared.sdrp.api.errors import SiglumeApiError
from tests.given import ENDPOINT, NOW
from tests.integration.ledger.books import TestBooks
from tests.integration.platform_api.platform import Handler, refusal
from tests.integration.reconcile.account import PAGE, Account, run
from workers.reconcile.reading import ONE_BY_ONE
from workers.reconcile.result import Reconciled
from workers.reconcile.turn import ReconcilesElsewhere

DAY = timedelta(days=1)


async def usage_ids(books: TestBooks) -> int:
    return int(await books.value("SELECT count(*) FROM kessai.statement_usage"))


async def test_everything_is_read_once_and_nothing_changes_when_it_is_read_again(
    pool: Pool, books: TestBooks, there: Account
) -> None:
    there.bought(10)
    for number in range(1, 5):
        there.closed(number)
    first = await run(pool, there)
    assert (first.lists[List.USAGE].rows, first.lists[List.USAGE].new, first.lists[List.USAGE].pages) == (10, 10, 4)
    assert (first.lists[List.BATCHES].rows, first.lists[List.BATCHES].new) == (4, 4)
    again = await run(pool, there, whole=True)
    assert (again.lists[List.USAGE].rows, again.lists[List.USAGE].new, again.lists[List.USAGE].changed) == (10, 0, 0)
    assert await usage_ids(books) == 10


async def test_a_routine_run_reads_what_is_new_and_a_whole_one_follows_after_a_week(pool: Pool, there: Account) -> None:
    there.bought(30, at=NOW - 30 * DAY)
    there.closed(1, "settled", at=NOW - 20 * DAY)
    await run(pool, there)
    there.bought(2, at=NOW + DAY, batch="msb_2")
    routine = await run(pool, there, at=NOW + DAY)
    assert (routine.lists[List.USAGE].pages, routine.lists[List.USAGE].new) == (1, 2)
    whole = await run(pool, there, at=NOW + 8 * DAY)
    assert (whole.lists[List.USAGE].rows, whole.lists[List.USAGE].new) == (32, 0)


async def test_usage_that_waits_for_its_batch_is_read_until_it_has_one(
    pool: Pool, books: TestBooks, there: Account
) -> None:
    there.bought(3, at=NOW - 30 * DAY)
    there.bought(PAGE, at=NOW - 20 * DAY, batch=None)
    there.bought(12, at=NOW - 10 * DAY)
    await run(pool, there)
    for row in there.usage:
        row["settlement_batch_id"] = row["settlement_batch_id"] or "msb_9"
    routine = await run(pool, there, at=NOW + DAY)
    assert routine.lists[List.USAGE].changed == PAGE
    assert await books.value("SELECT count(*) FROM kessai.statement_usage WHERE settlement_batch_id = 'msb_9'") == PAGE
    assert (await run(pool, there, at=NOW + 2 * DAY)).lists[List.USAGE].pages == 1


async def test_an_old_batch_that_is_settled_late_is_found_by_itself(
    pool: Pool, books: TestBooks, there: Account
) -> None:
    there.closed(1, "past_due", at=NOW - 200 * DAY)
    for number in range(2, 20):
        there.closed(number, "settled", at=NOW - (100 - number) * DAY)
    await run(pool, there)
    there.batches[-1] |= {"status": "settled", "chain_receipt_id": "chain_1", "settled_at": NOW.isoformat()}
    there.asked.clear()
    assert (await run(pool, there, at=NOW + DAY)).lists[List.BATCHES].pages == 1
    assert there.requests("settlement-batches/msb_1")
    money = await books.value("SELECT money FROM kessai.statement_batches WHERE settlement_batch_id = 'msb_1'")
    assert money == Money.SETTLED


async def test_many_unfinished_batches_are_found_by_reading_on(pool: Pool, there: Account) -> None:
    for number in range(ONE_BY_ONE + 2 * PAGE):
        there.closed(number, "past_due", at=NOW - (200 - number) * DAY)
    await run(pool, there)
    there.asked.clear()
    assert (await run(pool, there, at=NOW + DAY)).lists[List.BATCHES].pages == 2
    assert len([each for each in there.asked if each.startswith("settlement-batches/")]) == ONE_BY_ONE


async def test_a_list_in_another_order_is_read_to_its_end(pool: Pool, there: Account) -> None:
    there.bought(12, at=NOW - 30 * DAY)
    await run(pool, there)
    there.usage.reverse()
    assert (await run(pool, there, at=NOW + DAY)).lists[List.USAGE].rows == 12


async def test_a_run_that_was_broken_off_goes_on_at_its_page(pool: Pool, books: TestBooks, there: Account) -> None:
    there.bought(10)
    there.bent["usage-events?6"] = refusal(503)
    with pytest.raises(SiglumeApiError):
        await run(pool, there)
    assert await usage_ids(books) == 6
    there.bent.clear()
    there.asked.clear()
    rest = await run(pool, there)
    assert there.requests("usage-events") == ["usage-events?6", "usage-events?9"]
    assert (rest.lists[List.USAGE].new, rest.compared.until) == (4, NOW - timedelta(hours=1))


async def test_a_cursor_that_is_no_longer_known_begins_the_run_anew(
    pool: Pool, books: TestBooks, there: Account
) -> None:
    there.bought(10)
    there.bent["usage-events?6"] = refusal(503)
    with pytest.raises(SiglumeApiError):
        await run(pool, there)
    there.bent = {"usage-events?6": _once_refused(there)}
    rest = await run(pool, there)
    assert len(rest.notes) == 1
    assert "usage was read again from its first page" in rest.notes[0]
    assert await usage_ids(books) == 10


def _once_refused(there: Account) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        del there.bent["usage-events?6"]
        return await refusal(400, "INVALID_CURSOR")(request)

    return handler


async def test_one_run_at_a_time_reads_an_endpoint(pool: Pool, there: Account) -> None:
    async with connected(pool) as other:
        assert await syncs.take_turn(other, ENDPOINT)
        with pytest.raises(ReconcilesElsewhere):
            await run(pool, there)
    assert (await run(pool, there)).finished_at == NOW


async def test_the_platforms_own_sums_are_held_against_the_books(pool: Pool, there: Account) -> None:
    there.bought(2, batch=None)
    there.closed(1, "settled")
    there.totals = {"settled_provider_receivable_minor": "10098", "unsettled_provider_receivable_minor": "500"}
    found = await run(pool, there)
    assert found.unexplained["JPYC", Money.UNSETTLED] == 2 * 198 - 500
    assert ("JPYC", Money.SETTLED) not in found.unexplained


async def test_the_last_summary_is_kept_and_shown_beside_the_books(
    pool: Pool, books: TestBooks, there: Account
) -> None:
    there.bought(2, batch=None)
    there.totals = {"unsettled_provider_receivable_minor": "500.5", "terminal_provider_receivable_minor": "3"}
    await run(pool, there, at=NOW - DAY)
    there.totals = {"unsettled_provider_receivable_minor": "396", "terminal_provider_receivable_minor": "4"}
    for what in (None, refusal(504)):
        if what is not None:
            there.bent["summary"] = what
        await run(pool, there)
        async with connected(pool) as connection:
            found = await revenue(connection, Period.parse("2026"), now=NOW)
        yen = [each for each in found.summaries if each.token_symbol == "JPYC"]
        assert [(each.kind, plain(each.stated), each.booked, each.stated_at) for each in yen] == [
            ("terminal", "4", None, NOW),
            ("unsettled", "396", 396, NOW),
        ]
    dollars = [each for each in found.summaries if each.token_symbol == "USDC"]
    assert [(each.kind, each.booked) for each in dollars if each.differs] == [("unsettled", Decimal(0))]
    assert found.as_json()["summaries"][1]["booked_minor"] == "396"


@pytest.mark.parametrize("status", [404, 504])
async def test_a_platform_without_a_summary_is_read_all_the_same(status: int, pool: Pool, there: Account) -> None:
    there.bought(2)
    there.bent["summary"] = refusal(status)
    found = await run(pool, there)
    assert (found.lists[List.USAGE].new, found.totals, len(found.notes)) == (2, [], 1)


def test_a_result_counts_every_list() -> None:
    assert Reconciled("siglume").as_json()["usage"] == {"pages": 0, "read": 0, "new": 0, "changed": 0}


async def test_usage_of_a_batch_that_closed_after_batches_were_read_is_not_settled_yet(
    pool: Pool, there: Account
) -> None:
    there.bought(2, batch="msb_new")
    there.totals = {"unsettled_provider_receivable_minor": "396"}
    found = await run(pool, there)
    assert found.unexplained == {("USDC", "unsettled"): -396}, "of every token alike, and paid in JPYC alone"
