"""Every difference between statements and webhooks is one review with both sides; when it is gone, so is the review."""

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.ledger.books import Shop
from shared.ledger.database import Connection
from shared.ledger.replays.plans import NothingToReplay, plan
from shared.ledger.replays.selection import Selection, Source
from shared.ledger.revenue import clocks, comparing
from shared.ledger.revenue.clocks import Dates, Id, Moment
from shared.ledger.revenue.comparing import Compared
from shared.ledger.revenue.differences import Difference
from shared.ledger.revenue.findings import find_differences
from shared.ledger.revenue.spans import Span
from shared.ledger.revenue.syncs import List
from tests.given import ENDPOINT, NOW, incoming, new_order, settlement, usage
from tests.integration.ledger.desk import ANN, BOB, Desk
from tests.integration.revenue.accounts import LATER, Accounts
from tests.statements import nameless, stated_batch, stated_usage

ROW: dict[str, Any] = {"settlement_batch_id": "batch-1"}


async def test_nothing_is_found_when_all_is_well(accounts: Accounts) -> None:
    await accounts.fulfil("order-1", "order-2")
    await accounts.books.apply(settlement())
    rows = [stated_usage(name, **ROW) for name in ("order-1", "order-2")]
    compared = await accounts.sync(rows, [stated_batch(payments=2)])
    assert compared == Compared(LATER - timedelta(hours=1))
    assert await accounts.differences() == []


async def test_since_reaches_further_back_and_never_less_far(accounts: Accounts) -> None:
    assert (await accounts.sync([stated_usage()])).differences == 1
    assert (await accounts.compare(since=LATER + timedelta(days=30))).differences == 1
    assert (await accounts.compare(since=LATER - timedelta(days=900))).differences == 1


async def test_nothing_is_compared_before_both_lists_were_read_to_their_end(accounts: Accounts) -> None:
    await accounts.resume(List.USAGE)
    await accounts.usage_page(stated_usage(), then=None)
    assert await accounts.compare() == Compared(None)


async def test_usage_without_a_webhook(accounts: Accounts) -> None:
    await accounts.books.register(new_order("order-1", 200))
    compared = await accounts.sync([stated_usage()])
    assert (compared.differences, compared.opened) == (1, 1)
    assert await accounts.differences() == [("webhook_missing", "usage:mu-order-1")]
    evidence = await accounts.evidence("usage:mu-order-1")
    assert (evidence["statement"]["requirement_id"], evidence["books"]) == ("req-order-1", {})
    assert evidence["in_doubt"] == {"currency": "JPY", "amount_minor": "200"}
    again = await accounts.sync([stated_usage()], at=LATER + timedelta(hours=1))
    assert (again.differences, again.opened, again.changed, again.closed) == (1, 0, 0, 0)
    await accounts.fulfil("order-1")
    late = await accounts.sync([stated_usage()], at=LATER + timedelta(hours=2))
    assert (late.differences, late.closed, late.paired) == (0, 1, 1)
    assert await accounts.differences() == []


async def test_usage_whose_webhook_waits_in_a_review_is_no_second_one(accounts: Accounts) -> None:
    accounts.books.shops = {ENDPOINT: Shop("tea_house")}
    await accounts.fulfil("order-1")
    compared = await accounts.sync([stated_usage()])
    assert (compared.differences, compared.opened) == (1, 0)
    await Desk(accounts.books).resolve(1, "reject")
    assert (await accounts.sync([stated_usage()], at=LATER + timedelta(hours=1))).opened == 0


async def test_a_review_of_the_webhook_takes_the_place_of_one_of_the_difference(accounts: Accounts) -> None:
    await accounts.books.register(new_order("order-1", 200))
    await accounts.sync([stated_usage()])
    accounts.books.shops = {ENDPOINT: Shop("tea_house")}
    await accounts.books.apply(usage("evt-1"))
    compared = await accounts.sync([stated_usage()], at=LATER + timedelta(hours=1))
    assert (compared.differences, compared.closed) == (1, 1)
    assert await accounts.differences() == []


async def test_differences_are_not_handed_over_again_as_events(accounts: Accounts) -> None:
    await accounts.sync([stated_usage()])
    everything = Selection(source=Source.REVIEWS, everything=True)
    with pytest.raises(NothingToReplay):
        await plan(accounts.books.pool, accounts.books.pool, everything, accounts.books.shops, actor=ANN)


async def test_usage_that_no_statement_lists(accounts: Accounts) -> None:
    await accounts.fulfil("order-1", "order-2")
    await accounts.sync([stated_usage("order-2")])
    assert await accounts.differences() == [("statement_missing", "requirement:req-order-1")]
    assert await accounts.books.value("SELECT order_id FROM kessai.reviews") == "order-1"
    await accounts.sync([stated_usage("order-1"), stated_usage("order-2")], at=LATER + timedelta(hours=1))
    assert await accounts.differences() == []


async def test_neither_side_is_blamed_while_it_may_be_late(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.books.rows("UPDATE kessai.metered_usage SET accepted_at = $1", LATER - timedelta(minutes=30))
    just_now = (LATER - timedelta(minutes=30)).isoformat()
    await accounts.sync([stated_usage("order-9", created_at=just_now)])
    assert await accounts.differences() == []


@pytest.mark.parametrize(
    ("changed", "ours"),
    [
        ({"provider_gross_amount_minor": "100", "provider_receivable_minor": "98"}, "200"),
        ({"currency": "USD", "token_symbol": "USDC"}, "JPY"),
        ({"plan_type": "nano"}, "micro"),
    ],
)
async def test_usage_of_another_amount_currency_or_band(accounts: Accounts, changed: dict[str, str], ours: str) -> None:
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage(**changed)])
    assert await accounts.differences() == [("statement_amount_mismatch", "usage:mu-order-1")]
    evidence = await accounts.evidence("usage:mu-order-1")
    field = next(name for name in evidence["books"] if evidence["books"][name] == ours)
    assert evidence["statement"][field] != ours


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"chain_receipt_id": "chain-other"}, "statement_receipt_mismatch"),
        ({"usage_event_digest": "digest-other"}, "statement_digest_mismatch"),
        ({"plan_type": "nano"}, "statement_amount_mismatch"),
        ({"status": "retrying"}, "statement_conflict"),
        ({"status": "written_off"}, "statement_conflict"),
        ({"provider_receivable_minor": "197"}, "receivable_mismatch"),
        ({"protocol_fee_minor": "3", "provider_receivable_minor": "197"}, "batch_rows_mismatch"),
        ({"usage_event_count": 2}, "batch_rows_mismatch"),
    ],
)
async def test_a_batch_that_its_webhook_or_its_rows_contradict(
    accounts: Accounts, changed: dict[str, Any], reason: str
) -> None:
    await accounts.fulfil("order-1")
    await accounts.books.apply(settlement())
    await accounts.sync([stated_usage(**ROW)], [stated_batch(**changed)])
    found = await accounts.differences()
    assert (reason, "batch:batch-1") in found
    assert {about for _, about in found} == {"batch:batch-1"}


@pytest.mark.parametrize(
    ("said", "counted"),
    [({"provider_gross_amount_minor": "200"}, 1), ({"provider_gross_amount_minor": "400"}, 2)],
)
async def test_a_row_of_another_currency_than_its_batch(accounts: Accounts, said: dict[str, Any], counted: int) -> None:
    """It is a difference of its own, whether or not the batch has added it to its yen."""
    await accounts.fulfil("order-1")
    await accounts.books.register(new_order("order-2", 200, currency="USD"))
    await accounts.books.apply(usage("evt-2", "order-2", currency="USD"), settlement("evt-b"))
    batch = stated_batch("batch-1", payments=counted, usage_event_count=counted, **said)
    dollars = stated_usage("order-2", currency="USD", token_symbol="USDC", **ROW)
    compared = await accounts.sync([stated_usage(**ROW), dollars], [batch])
    found = await accounts.differences()
    assert ("batch_rows_mismatch", "usage:mu-order-2") in found
    assert (("batch_rows_mismatch", "batch:batch-1") in found) == (counted == 2)
    assert (len(found), compared.unexplained) == (counted, {})
    evidence = await accounts.evidence("usage:mu-order-2")
    assert evidence["statement"] == {"currency": "USD", "token_symbol": "USDC", "settlement_batch_id": "batch-1"}
    assert evidence["books"] == {"currency": "JPY", "token_symbol": "JPYC"}
    assert evidence["in_doubt"] == {"currency": "USD", "amount_minor": "200"}


async def test_rows_of_two_currencies_in_a_batch_that_names_none(accounts: Accounts) -> None:
    batch = stated_batch("batch-1", "ready", payments=2, currency=None, token_symbol=None)
    await accounts.fulfil("order-1")
    await accounts.books.register(new_order("order-2", 200, currency="USD"))
    await accounts.books.apply(usage("evt-2", "order-2", currency="USD"))
    dollars = stated_usage("order-2", currency="USD", token_symbol="USDC", **ROW)
    await accounts.sync([stated_usage(**ROW), dollars], [batch])
    assert await accounts.differences() == [("batch_rows_mismatch", "batch:batch-1")]
    evidence = await accounts.evidence("batch:batch-1")
    assert (evidence["statement"], evidence["books"]) == ({"currency": None}, {"currency": "JPY, USD"})


async def test_amounts_that_the_webhook_of_a_batch_states_are_compared(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.books.apply(settlement(currency="JPY", provider_gross_amount_minor="400", usage_event_count=2))
    await accounts.sync([stated_usage(**ROW)], [stated_batch(usage_event_count=1)])
    assert await accounts.differences() == [("statement_amount_mismatch", "batch:batch-1")]
    evidence = await accounts.evidence("batch:batch-1")
    assert evidence["statement"] == {"provider_gross_amount_minor": "200", "usage_event_count": 1}
    assert evidence["books"] == {"provider_gross_amount_minor": "400", "usage_event_count": 2}


async def test_a_settled_batch_without_a_webhook_and_one_without_a_statement(accounts: Accounts) -> None:
    await accounts.books.apply(settlement("evt-2", "batch-2"))
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage(**ROW)], [stated_batch()])
    assert sorted(await accounts.differences()) == [
        ("statement_missing", "batch:batch-2"),
        ("webhook_missing", "batch:batch-1"),
    ]
    await accounts.books.apply(settlement())
    await accounts.sync(
        [stated_usage(**ROW), stated_usage("order-9", settlement_batch_id="batch-2")],
        [stated_batch(), stated_batch("batch-2")],
        at=LATER + timedelta(hours=1),
    )
    assert await accounts.differences() == [("webhook_missing", "usage:mu-order-9")]


async def test_a_regress_of_what_is_final(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.books.apply(settlement())
    await accounts.sync([stated_usage(**ROW)], [stated_batch()])
    await accounts.sync([], [stated_batch(status="retrying")], at=LATER + timedelta(hours=1))
    assert await accounts.state() == "settled"
    assert await accounts.differences() == [("statement_conflict", "batch:batch-1")]
    evidence = await accounts.evidence("batch:batch-1")
    assert (evidence["statement"], evidence["books"]) == ({"status": "retrying"}, {"status": "settled"})


async def test_a_batch_that_is_too_new_to_be_compared_closes_nothing(accounts: Accounts) -> None:
    """What the platform did to it within the last hour hides what was wrong with it before, for as long."""
    await accounts.fulfil("order-1")
    wrong: dict[str, Any] = {"usage_event_count": 7, "chain_receipt_id": None}
    await accounts.sync([stated_usage(**ROW)], [stated_batch(status="ready", **wrong)])
    assert await accounts.differences() == [("batch_rows_mismatch", "batch:batch-1")]
    at = LATER + timedelta(hours=1)
    anew = stated_batch(status="retrying", close_at=(at - timedelta(minutes=30)).isoformat(), **wrong)
    compared = await accounts.sync([stated_usage(**ROW)], [anew], at=at)
    assert (compared.differences, compared.closed) == (0, 0)
    compared = await accounts.sync([stated_usage(**ROW)], [anew], at=at + timedelta(hours=1))
    assert (compared.differences, compared.opened, compared.closed) == (1, 0, 0)
    mended = stated_batch(status="retrying", close_at=anew.close_at.isoformat() if anew.close_at else None)
    await accounts.sync([stated_usage(**ROW)], [mended], at=at + timedelta(hours=2))
    assert await accounts.differences() == []


async def test_one_payment_listed_twice(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage(), stated_usage(metered_usage_id="mu-again")])
    assert [reason for reason, _ in await accounts.differences()] == ["webhook_missing"]


async def test_rows_without_a_name_are_compared_by_day(accounts: Accounts) -> None:
    await accounts.fulfil("order-1", "order-2")
    assert (await accounts.sync([nameless("order-1"), nameless("order-2")])).differences == 0
    third = nameless("order-3", provider_gross_amount_minor="50", provider_receivable_minor="48")
    later = LATER + timedelta(hours=1)
    await accounts.sync([nameless("order-1"), nameless("order-2"), third], at=later)
    assert await accounts.differences() == [("statement_total_mismatch", "day:2026-11-20:JPY:micro")]
    evidence = await accounts.evidence("day:2026-11-20:JPY:micro")
    assert evidence["statement"] == {"count": 3, "gross_minor": "450"}
    assert evidence["books"] == {"count": 2, "gross_minor": "400"}


async def test_rows_without_a_name_are_explained_by_webhooks_in_review(accounts: Accounts) -> None:
    accounts.books.shops = {ENDPOINT: Shop("tea_house")}
    await accounts.books.register(new_order("order-1", 200))
    await accounts.books.apply(usage("evt-1"))
    compared = await accounts.sync([nameless()])
    assert (compared.differences, compared.opened) == (1, 0)


async def test_a_webhook_in_review_that_came_a_day_late_explains_the_row_of_its_own_day(accounts: Accounts) -> None:
    accounts.books.shops = {ENDPOINT: Shop("tea_house")}
    await accounts.fulfil("order-2")
    await accounts.books.register(new_order("order-1", 200))
    await accounts.books.apply(incoming(usage("evt-1"), received_at=NOW + timedelta(hours=13)))
    next_day = nameless("order-3", created_at="2026-11-21T02:00:00Z")
    compared = await accounts.sync([nameless("order-1"), nameless("order-2")], at=NOW + timedelta(days=2))
    assert (compared.differences, compared.opened) == (1, 0)
    await accounts.sync([nameless("order-1"), nameless("order-2"), next_day], at=NOW + timedelta(days=2, hours=1))
    assert await accounts.differences() == [("statement_total_mismatch", "day:2026-11-21:JPY:micro")]


async def test_a_conflict_explains_no_row_beside_the_usage_that_it_is_about(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.books.register(new_order("order-2", 200))
    await accounts.books.apply(usage("evt-order-1", token_symbol="JPYC"))
    await accounts.books.apply(usage("evt-2", "order-2", requirement_id="req-order-1"))
    assert [reason for _, reason, _ in await accounts.books.reviews()] == ["event_id_conflict", "requirement_conflict"]
    compared = await accounts.sync([nameless("order-1"), nameless("order-8"), nameless("order-9")])
    assert (compared.differences, compared.opened) == (1, 1)


async def test_a_webhook_that_comes_twice_under_two_ids_explains_one_row(accounts: Accounts) -> None:
    accounts.books.shops = {ENDPOINT: Shop("tea_house")}
    await accounts.books.register(new_order("order-1", 200))
    await accounts.books.apply(usage("evt-1"), usage("evt-2"))
    assert (await accounts.sync([nameless("order-1")])).opened == 0
    await accounts.sync([nameless("order-1"), nameless("order-2")], at=LATER + timedelta(hours=1))
    assert await accounts.differences() == [("statement_total_mismatch", "day:2026-11-20:JPY:micro")]


MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize("late", [timedelta(seconds=-2), timedelta(seconds=2), timedelta(minutes=-50)])
async def test_what_another_clock_puts_beyond_midnight_is_no_difference(accounts: Accounts, late: timedelta) -> None:
    """Whether or not that day has other rows: one by one, day by day, and with amounts that no sum would cancel."""
    await accounts.fulfil("order-1", "order-2")
    await accounts.used("order-2", at=MIDNIGHT + late / 2)
    over = nameless("order-2", created_at=(MIDNIGHT - late / 2).isoformat())
    assert (await accounts.sync([nameless("order-1"), over])).differences == 0


async def test_every_midnight_may_move_something_else(accounts: Accounts) -> None:
    rows = []
    for number, amount in enumerate((100, 200, 300, 100, 200), start=1):
        name = f"order-{number}"
        await accounts.fulfil(name, amount=amount)
        midnight = MIDNIGHT - timedelta(days=number)
        await accounts.used(name, at=midnight + timedelta(seconds=1))
        before = (midnight - timedelta(seconds=1)).isoformat()
        rows.append(nameless(name, created_at=before, provider_gross_amount_minor=str(amount),
                             provider_receivable_minor=str(amount - 2)))  # fmt: skip
    assert (await accounts.sync(rows)).differences == 0


async def test_where_a_comparison_begins_and_ends_clocks_may_differ_too(accounts: Accounts) -> None:
    """A span ends at any instant: what one side dates after it is no difference before it."""
    await accounts.fulfil("order-1", "order-3")
    await accounts.fulfil("order-2", amount=300)
    until = LATER - comparing.PATIENCE
    await accounts.used("order-1", at=until - timedelta(seconds=1))
    await accounts.used("order-2", at=until + timedelta(seconds=1))
    rows = [
        nameless("order-1", created_at=(until + timedelta(seconds=1)).isoformat()),
        nameless("order-2", created_at=(until - timedelta(minutes=1)).isoformat(),
                 provider_gross_amount_minor="300", provider_receivable_minor="298"),
        nameless("order-3"),
    ]  # fmt: skip
    first = await accounts.sync(rows)
    assert (first.differences, first.unexplained) == (0, {})
    later = await accounts.sync(rows, at=LATER + timedelta(hours=1))
    assert (later.differences, later.unexplained) == (0, {})


async def test_midnights_are_looked_at_one_by_one_beside_the_event_loop(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much usage there is, memory holds that of one midnight, and other work goes on."""
    looked_at: list[tuple[int, bool]] = []

    def dates_of(moments: Iterable[Moment]) -> dict[Id, datetime]:
        given = list(moments)
        looked_at.append((len(given), threading.current_thread() is threading.main_thread()))
        return clocks_dates_of(given)

    clocks_dates_of = clocks.dates_of
    monkeypatch.setattr(clocks, "dates_of", dates_of)
    rows = []
    for number in range(1, 4):
        name, midnight = f"order-{number}", MIDNIGHT - timedelta(days=number)
        await accounts.fulfil(name)
        await accounts.used(name, at=midnight + timedelta(seconds=1))
        rows.append(nameless(name, created_at=(midnight - timedelta(seconds=1)).isoformat()))
    assert (await accounts.sync(rows)).differences == 0
    assert looked_at == [(2, False)] * 3


async def test_tables_may_be_read_whole_before_midnights_are_looked_at(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's connections look up keys only: for months of usage, one by one."""
    settings: list[str] = []

    async def find_dates(connection: Connection, *span: Any) -> Dates:  # noqa: ANN401 - as it is called
        settings.append(await connection.fetchval("SHOW enable_hashjoin"))
        return await clocks_find_dates(connection, *span)

    clocks_find_dates = clocks.find_dates
    monkeypatch.setattr(clocks, "find_dates", find_dates)
    await accounts.sync()
    assert settings == ["on"]


async def test_what_is_missing_at_midnight_still_is(accounts: Accounts) -> None:
    """A payment of another amount, or one too far away, makes up for nothing."""
    await accounts.fulfil("order-1")
    await accounts.used("order-1", at=MIDNIGHT + timedelta(seconds=1))
    dear = nameless("order-1", created_at=(MIDNIGHT - timedelta(seconds=1)).isoformat(),
                    provider_gross_amount_minor="201", provider_receivable_minor="199")  # fmt: skip
    far = nameless("order-2", created_at=(MIDNIGHT - timedelta(hours=2)).isoformat())
    await accounts.sync([dear, far])
    assert await accounts.differences() == [
        ("statement_total_mismatch", "day:2026-11-19:JPY:micro"),
        ("statement_missing", "requirement:req-order-1"),
    ]


async def test_a_webhook_in_review_beyond_midnight_explains_its_row(accounts: Accounts) -> None:
    accounts.books.shops = {ENDPOINT: Shop("tea_house")}
    await accounts.books.register(new_order("order-1", 200))
    await accounts.books.apply(usage("evt-1"))
    await accounts.books.rows(
        "UPDATE kessai.reviews SET evidence = jsonb_set(evidence, '{event,occurred_at}', to_jsonb($1::text))",
        (MIDNIGHT + timedelta(seconds=1)).isoformat(),
    )
    compared = await accounts.sync([nameless(created_at=(MIDNIGHT - timedelta(seconds=1)).isoformat())])
    assert (compared.differences, compared.opened) == (1, 0)


async def test_a_person_accepts_a_difference_and_it_is_not_asked_again(accounts: Accounts) -> None:
    desk = Desk(accounts.books)
    await accounts.sync([stated_usage()])
    assert (await desk.resolve(1, "accept-difference", approvals=2)).done == "proposed"
    done = await desk.approve(1, actor=BOB)
    assert (done.done, done.outcome) == ("closed", None)
    assert (await accounts.sync([stated_usage()], at=LATER + timedelta(hours=1))).opened == 0
    await accounts.books.rows("UPDATE kessai.statement_usage SET provider_gross_amount_minor = 300")
    await accounts.sync([], at=LATER + timedelta(hours=2))
    found = await accounts.differences()
    assert ("webhook_missing", "usage:mu-order-1") in found, "another difference of the same thing"


async def test_a_proposal_falls_with_what_it_was_about(accounts: Accounts) -> None:
    desk = Desk(accounts.books)
    await accounts.sync([stated_usage()])
    await desk.resolve(1, "accept-difference", approvals=2)
    compared = await accounts.sync([stated_usage(settlement_batch_id="batch-1")], at=LATER + timedelta(hours=1))
    review = await desk.review(1)
    assert (compared.changed, review.proposed, review.state) == (1, None, "open")


async def test_a_review_that_is_closed_while_differences_are_found_keeps_what_was_accepted(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order settles only on the difference that a person saw; the next one gets a review of its own."""
    desk = Desk(accounts.books)
    await accounts.fulfil("order-1")
    times = [LATER + timedelta(hours=hours) for hours in range(4)]
    await accounts.sync([stated_usage(**ROW)], [stated_batch(status="ready")], at=times[0])
    await accounts.books.apply(settlement())
    await accounts.sync([stated_usage(**ROW, protocol_fee_minor="3")], [stated_batch()], at=times[1])
    seen = (await desk.review(1)).version
    kept = "SELECT evidence -> 'statement' FROM kessai.reviews WHERE review_id = 1"

    async def while_a_person_decides(connection: Connection, span: Span) -> list[Difference]:
        found = await find_differences(connection, span)
        await desk.resolve(1, "accept-difference", version=seen)
        return found

    monkeypatch.setattr("shared.ledger.revenue.comparing.find_differences", while_a_person_decides)
    other = stated_usage(**ROW, protocol_fee_minor="150")
    compared = await accounts.sync([other], [stated_batch()], at=times[2])
    assert (compared.changed, await accounts.books.value(kept)) == (0, '{"protocol_fee_minor": "3"}')
    assert (await desk.last_act())[1] == "review.resolved", "the audit tells of no change either"
    assert await accounts.state() == "fulfilled_unsettled"
    monkeypatch.undo()
    assert (await accounts.sync([other], [stated_batch()], at=times[3])).opened == 1
    assert await accounts.differences() == [("statement_conflict", "usage:mu-order-1")]
    assert (await accounts.evidence("usage:mu-order-1"))["statement"] == {"protocol_fee_minor": "150"}
    await desk.resolve(2, "accept-difference")
    await accounts.settle()
    assert await accounts.state() == "settled"


async def test_a_difference_is_claimed_noted_and_closed_by_itself(accounts: Accounts) -> None:
    desk = Desk(accounts.books)
    await accounts.books.register(new_order("order-1", 200))
    await accounts.sync([stated_usage()])
    await desk.claim(1, actor=ANN)
    await accounts.books.apply(usage("evt-1"))
    await accounts.sync([stated_usage()], at=LATER + timedelta(hours=1))
    review = await desk.review(1)
    assert (review.state, review.resolution, review.closed_by) == ("closed", "reconciled", "worker:reconcile")


async def test_a_difference_opened_anew_is_told_anew(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    for turn in range(3):
        rows = [] if turn % 2 == 0 else [stated_usage()]
        await accounts.sync(rows, at=LATER + timedelta(hours=turn))
        if rows:
            await accounts.books.rows("DELETE FROM kessai.statement_usage")
    told = await accounts.books.rows("SELECT DISTINCT body FROM kessai.outbox WHERE name = 'review.opened'")
    assert len(told) == 2


async def test_comparing_twice_changes_nothing(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage("order-9", **ROW)], [stated_batch(usage_event_count=7)])
    before = await accounts.everything()
    await accounts.compare()
    assert await accounts.everything() == before


async def test_old_differences_stay_in_view_until_they_are_gone(accounts: Accounts) -> None:
    await accounts.sync([stated_usage()])
    long_after = NOW + timedelta(days=400)
    await accounts.sync([stated_usage()], at=long_after)
    assert await accounts.differences() == [("webhook_missing", "usage:mu-order-1")]
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage()], at=long_after + timedelta(hours=1))
    assert await accounts.differences() == []
