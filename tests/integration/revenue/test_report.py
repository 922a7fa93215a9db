"""The report keeps kinds of money and currencies apart, and says to the minor unit what nobody can explain."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.ledger.books import Shop
from shared.ledger.database import connected
from shared.ledger.revenue.differences import Difference
from shared.ledger.revenue.explanations import Standing
from shared.ledger.revenue.exposure import Exposure, Level, exposures
from shared.ledger.revenue.money import Money, plain, total
from shared.ledger.revenue.periods import Period
from shared.ledger.revenue.report import Report, revenue
from shared.sdrp.api.usage import ProviderUsageEvent
from tests.given import ABSENT, ENDPOINT, NOW, new_order, payment, settlement, usage
from tests.integration.ledger.desk import Desk
from tests.integration.revenue.accounts import LATER, Accounts
from tests.statements import nameless, stated_batch, stated_usage

ENDS = ["settled", "retrying", "past_due", "uncollectible", "written_off", "thawing"]


async def report(accounts: Accounts, period: str = "2026-11", endpoint: str | None = None) -> Report:
    async with connected(accounts.books.pool) as connection:
        return await revenue(connection, Period.parse(period), endpoint=endpoint, now=NOW)


def texts(*amounts: Decimal) -> list[str]:
    return list(map(plain, amounts))


def dollars(order_id: str, **changed: Any) -> ProviderUsageEvent:  # noqa: ANN401 - as the row has it
    return stated_usage(order_id, **{"currency": "USD", "token_symbol": "USDC"} | changed)


async def one_of_each(accounts: Accounts) -> None:
    """A standard payment, a micro payment for each end of a batch, one in no batch yet, and one in dollars."""
    await accounts.books.register(new_order("paid-1"))
    await accounts.books.apply(payment("evt-paid", "paid-1"))
    names = [f"order-{end}" for end in ENDS]
    await accounts.fulfil(*names, "order-open")
    await accounts.books.register(new_order("order-usd", 200, currency="USD"))
    await accounts.books.apply(usage("evt-usd", "order-usd", currency="USD"))
    await accounts.books.apply(settlement("evt-batch", "batch-settled"))
    rows = [stated_usage(name, settlement_batch_id=f"batch-{end}") for name, end in zip(names, ENDS, strict=True)]
    batches = [stated_batch(f"batch-{end}", end) for end in ENDS]
    await accounts.sync([*rows, stated_usage("order-open"), dollars("order-usd")], batches)


async def test_kinds_of_money_stand_apart(accounts: Accounts) -> None:
    await one_of_each(accounts)
    found = await report(accounts)
    yen = found.currencies["JPY"]
    band = yen.bands["micro", "JPYC"]
    payments = {kind: sums.payments for kind, sums in band.kinds.items()}
    assert payments == {
        Money.SETTLED: 1, Money.UNSETTLED: 3, Money.PAST_DUE: 1, Money.UNCOLLECTIBLE: 1, Money.WRITTEN_OFF: 1,
    }  # fmt: skip
    assert texts(*band.kinds[Money.SETTLED][1:]) == ["200", "2", "198"]
    assert {status: sums.gross for status, sums in band.unknown_states.items()} == {"thawing": 200}
    assert texts(yen.standard.gross) == ["1200"]
    assert band.received.receivable == 198
    usd = found.currencies["USD"]
    assert texts(usd.bands["micro", "USDC"].kinds[Money.UNSETTLED].gross, usd.standard.gross) == ["200", "0"]
    assert found.is_explained
    assert texts(yen.unexplained, usd.unexplained) == ["0", "0"]
    assert yen.control.webhooks == yen.control.statements


@pytest.mark.parametrize("end", [end for end in ENDS if end != "thawing"])
async def test_a_row_of_another_currency_or_token_than_its_batch_is_not_the_money_of_that_batch(
    accounts: Accounts, end: str
) -> None:
    """The batch debits its own token only: nothing else has reached the chain, or is lost with it."""
    rows = [stated_usage("order-1"), dollars("order-2"), stated_usage("order-3", token_symbol="JPYX")]
    rows = [replace(row, settlement_batch_id="batch-1") for row in rows]
    await accounts.sync(rows, [stated_batch(status=end, payments=1)])
    found = await report(accounts)
    money = Money.UNSETTLED if end == "retrying" else Money(end)
    assert found.currencies["JPY"].bands["micro", "JPYC"].kinds[money].gross == 200
    others = [found.currencies["USD"].bands["micro", "USDC"], found.currencies["JPY"].bands["micro", "JPYX"]]
    assert [band.kinds[Money.UNSETTLED].gross for band in others] == [200, 200]
    assert [total(band.kinds.values()).payments for band in others] == [1, 1]
    assert [band.received.payments for band in others] == [0, 0]


async def test_an_order_that_was_paid_with_another_amount_counts_by_what_was_paid(accounts: Accounts) -> None:
    """A person accepts a payment that does not fit; the money is what the platform says, in its own currency."""
    desk = Desk(accounts.books)
    await accounts.books.register(*(new_order(f"order-{number}") for number in range(1, 5)))
    await accounts.books.apply(payment("evt-1", "order-1"))
    await accounts.books.apply(payment("evt-2", "order-2", amount_minor="1000.5"))
    await accounts.books.apply(payment("evt-3", "order-3", amount_minor=900, currency="usd"))
    await accounts.books.apply(payment("evt-4", "order-4", amount_minor=ABSENT, currency=ABSENT))
    waiting = (await report(accounts)).currencies
    assert {name: each.standard_in_review[:2] for name, each in waiting.items()} == {
        "JPY": (1, Decimal("1000.5")), "USD": (1, Decimal(900)),
    }  # fmt: skip
    for review_id in (1, 2):
        assert (await desk.resolve(review_id, "accept-mismatch")).outcome == "applied"
    found = await report(accounts)
    standard = {name: (each.standard.payments, plain(each.standard.gross)) for name, each in found.currencies.items()}
    assert standard == {"JPY": (3, "3400.5"), "USD": (1, "900")}
    assert not any(each.standard_in_review.payments for each in found.currencies.values())


async def in_review(accounts: Accounts) -> dict[str, tuple[int, str]]:
    found = (await report(accounts)).currencies
    return {name: (each.standard_in_review.payments, plain(each.standard_in_review.gross))
            for name, each in found.items() if each.standard_in_review.payments}  # fmt: skip


async def test_what_an_order_has_taken_is_not_in_review_too(accounts: Accounts) -> None:
    await accounts.books.register(new_order("order-1"), new_order("order-2"))
    await accounts.books.apply(payment("evt-1", "order-1"))
    await accounts.books.apply(payment("evt-1", "order-1", token_symbol="JPYC"))
    await accounts.books.apply(payment("evt-2", "order-2", requirement_id="req-order-1"))
    reasons = [reason for _, reason, _ in await accounts.books.reviews()]
    assert reasons == ["event_id_conflict", "requirement_conflict"]
    assert await in_review(accounts) == {}


async def test_a_payment_that_two_events_tell_of_is_in_review_once(accounts: Accounts) -> None:
    await accounts.books.register(new_order("order-1"))
    older: dict[str, Any] = {"requirement_id": " ", "direct_payment_requirement_id": "req-order-1"}
    await accounts.books.apply(payment("evt-1", amount_minor=900), payment("evt-2", amount_minor=900, **older))
    nameless: dict[str, Any] = {"requirement_id": " ", "amount_minor": 900}
    await accounts.books.apply(payment("evt-3", **nameless), payment("evt-4", **nameless))
    assert await in_review(accounts) == {"JPY": (3, "2700")}, "what names no requirement stands for itself"
    assert (await Desk(accounts.books).resolve(1, "accept-mismatch")).outcome == "applied"
    assert await in_review(accounts) == {"JPY": (2, "1800")}


async def test_json_is_text_where_it_is_money(accounts: Accounts) -> None:
    await one_of_each(accounts)
    found = (await report(accounts)).as_json()
    yen = next(each for each in found["currencies"] if each["currency"] == "JPY")
    assert yen["metered"][0]["settled"] == {
        "payments": 1, "gross_minor": "200", "fee_minor": "2", "receivable_minor": "198",
    }  # fmt: skip
    assert yen["metered_total"]["unsettled"]["gross_minor"] == "600"
    assert yen["compared"]["unexplained_minor"] == "0"
    assert (found["is_explained"], found["not_compared"], found["differences"]) == (True, [], [])


async def test_what_is_in_review_accepted_and_unexplained(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage(), stated_usage("order-8"), stated_usage("order-9")])
    await Desk(accounts.books).resolve(1, "accept-difference")
    assert (await report(accounts)).currencies["JPY"].in_doubt == {
        Standing.UNEXPLAINED: 0, Standing.IN_REVIEW: 200, Standing.ACCEPTED: 200,
    }  # fmt: skip
    late = stated_usage("order-7", provider_gross_amount_minor="30", provider_receivable_minor="28")
    await accounts.usage_page(late, at=LATER + timedelta(minutes=1))
    found = await report(accounts)
    assert found.currencies["JPY"].unexplained == Decimal(30)
    assert not found.is_explained
    await accounts.compare()
    assert (await report(accounts)).currencies["JPY"].unexplained == 0


async def test_what_no_difference_accounts_for_is_unexplained(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control is added up by itself: a difference that the rules fail to find does not hide."""
    await accounts.fulfil("order-1", "order-2")
    await accounts.sync([nameless("order-1")], at=LATER + timedelta(days=1))
    assert (await report(accounts)).is_explained

    async def blind(*_: object) -> list[Difference]:
        return []

    monkeypatch.setattr("shared.ledger.revenue.report.find_differences", blind)
    assert (await report(accounts)).currencies["JPY"].unexplained == 200


@pytest.mark.parametrize("late", [timedelta(seconds=2), timedelta(seconds=-2)])
async def test_a_month_ends_for_usage_when_it_ends_for_its_row(accounts: Accounts, late: timedelta) -> None:
    await accounts.fulfil("order-1", "order-2")
    end = datetime(2026, 11, 1, tzinfo=UTC)
    await accounts.used("order-2", at=end + late / 2)
    await accounts.sync([nameless("order-1"), nameless("order-2", created_at=(end - late / 2).isoformat())])
    for period in ("2026-10", "2026-11", "2026-10-31", "2026-11-01", "2026-W44", "2026"):
        found = await report(accounts, period)
        assert (found.is_explained, found.differences) == (True, []), period
    before, after = await report(accounts, "2026-10"), await report(accounts, "2026-11")
    rows = [each.currency("JPY").control.statements.payments for each in (before, after)]
    assert rows == [each.currency("JPY").control.webhooks.payments for each in (before, after)]
    assert sum(rows) == 2


async def test_webhooks_in_review_explain_rows(accounts: Accounts) -> None:
    accounts.books.shops = {ENDPOINT: Shop("tea_house")}
    await accounts.fulfil("order-1")
    await accounts.books.register(new_order("order-2", 200))
    await accounts.books.apply(usage("evt-2", "order-2"))
    await accounts.sync([stated_usage("order-1"), stated_usage("order-2")])
    assert (await report(accounts)).currencies["JPY"].in_doubt[Standing.IN_REVIEW] == 400
    assert (await report(accounts)).is_explained


async def test_a_period_takes_what_was_used_within_it(accounts: Accounts) -> None:
    await one_of_each(accounts)
    assert (await report(accounts, "2026-10")).currencies == {}
    week = await report(accounts, "2026-W47")
    assert week.currencies["JPY"].bands["micro", "JPYC"].kinds[Money.UNSETTLED].payments == 3
    until_then = await report(accounts, "2026-11-20..2026-11-20T11:59:58")
    assert until_then.currencies["JPY"].bands["micro", "JPYC"].kinds[Money.UNSETTLED].payments == 0
    assert (await report(accounts, endpoint="other")).currencies == {}


async def test_an_endpoint_whose_statements_were_never_read_is_named(accounts: Accounts) -> None:
    await accounts.fulfil("order-1")
    found = await report(accounts)
    assert (found.not_compared, found.compared_until, found.is_explained) == ([ENDPOINT], None, False)


async def test_what_statements_cannot_know_yet_is_not_compared(accounts: Accounts) -> None:
    await accounts.sync()
    await accounts.fulfil("order-1")
    await accounts.books.rows("UPDATE kessai.metered_usage SET accepted_at = $1", LATER)
    assert (await report(accounts)).is_explained


async def exposed(accounts: Accounts, endpoint: str | None = None) -> list[Exposure]:
    async with connected(accounts.books.pool) as connection:
        return await exposures(connection, endpoint=endpoint)


async def test_exposure_is_what_is_neither_settled_nor_given_up(accounts: Accounts) -> None:
    rows = [stated_usage(f"order-{n}", settlement_batch_id=f"batch-{end}") for n, end in enumerate(ENDS)]
    batches = [stated_batch(f"batch-{end}", end) for end in ENDS]
    await accounts.sync([*rows, stated_usage("order-open")], batches)
    (only,) = await exposed(accounts)
    assert texts(only.gross, only.past_due, only.threshold) == ["800", "200", "10000"]
    assert only.level(Decimal("0.8")) is Level.PAUSED


async def test_the_platforms_own_figures_come_first(accounts: Accounts) -> None:
    batch = stated_batch(status="ready", total_unsettled_exposure_minor="4000", settlement_threshold_minor="5000")
    await accounts.sync([], [batch])
    (only,) = await exposed(accounts)
    assert texts(only.gross, only.amount, only.threshold) == ["200", "4000", "5000"]
    assert only.level(Decimal("0.8")) is Level.WARNING
    assert only.level(Decimal("0.9")) is Level.FINE


@pytest.mark.parametrize("stated", [None, "200"])
async def test_rows_of_another_currency_than_their_batch_are_exposed_apart(
    accounts: Accounts, stated: str | None
) -> None:
    """Whether the batch says what it comes to, or its rows must."""
    batch = stated_batch(status="past_due", provider_gross_amount_minor=stated)
    rows = [
        make(name, settlement_batch_id="batch-1") for name, make in (("order-1", stated_usage), ("order-2", dollars))
    ]
    await accounts.sync(rows, [batch])
    found = {(each.currency, each.token_symbol): texts(each.gross, each.past_due) for each in await exposed(accounts)}
    assert found == {("JPY", "JPYC"): ["200", "200"], ("USD", "USDC"): ["200", "200"]}


async def test_a_batch_that_says_nothing_of_its_money_is_exposed_by_its_rows(accounts: Accounts) -> None:
    silent = {"provider_gross_amount_minor": None, "currency": None, "token_symbol": None}
    batch = stated_batch("batch-1", "ready", payments=1, **silent)
    await accounts.sync([stated_usage(settlement_batch_id="batch-1")], [batch])
    (only,) = await exposed(accounts)
    assert (only.currency, only.token_symbol, *texts(only.gross)) == ("JPY", "JPYC", "200")


async def test_buyers_bands_and_tokens_are_exposed_apart(accounts: Accounts) -> None:
    nano = nameless("order-2", plan_type="nano", provider_gross_amount_minor="12.5")
    other = nameless("order-3", buyer_period_ref="bpr-2", provider_gross_amount_minor="9000")
    await accounts.sync([nameless("order-1"), nano, other, dollars("order-4")])
    found = [(e.buyer_period_ref, e.pricing_band, e.currency, plain(e.gross)) for e in await exposed(accounts)]
    assert found[0] == ("bpr-2", "micro", "JPY", "9000")
    assert set(found[1:]) == {
        ("bpr-1", "micro", "JPY", "200"),
        ("bpr-1", "nano", "JPY", "12.5"),
        ("bpr-1", "micro", "USD", "200"),
    }
    assert await exposed(accounts, "other") == []
