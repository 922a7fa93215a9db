"""The revenue page says what the report says, to the minor unit, and never makes anybody wait."""

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape

import orjson
import pytest

from ingress.console.formats import figure
from ingress.console.report_cache import LEAST, MOST, OLDEST, ReportCache, TooManyReports
from shared.errors import DatabaseUnavailable
from shared.ledger.database import Pool, connected
from shared.ledger.revenue.lines import csv_lines, json_of
from shared.ledger.revenue.money import Money, total
from shared.ledger.revenue.periods import Period
from shared.ledger.revenue.report import Report, revenue
from tests.given import NOW
from tests.integration.console.browser import Seen
from tests.integration.console.conftest import OpenBrowser
from tests.integration.console.furnished import FORMULA, IMAGE, SCRIPT
from tests.integration.ledger.books import TestBooks
from tests.integration.revenue.accounts import LATER, Accounts
from tests.integration.revenue.test_report import one_of_each
from tests.statements import stated_batch, stated_usage

PAGE = "/revenue?period=2026-11"


@pytest.fixture
def accounts(pool: Pool) -> Accounts:
    return Accounts(TestBooks(pool))


async def reported(pool: Pool, period: str = "2026-11") -> Report:
    async with connected(pool) as connection:
        return await revenue(connection, Period.parse(period), now=NOW)


def rows(page: Seen, currency: str) -> dict[str, list[str]]:
    """The cells of a currency's table, by the first words of each row."""
    table = re.search(rf"<caption[^>]*>{currency} of .*?</table>", page.text, re.DOTALL)
    assert table is not None, page.words
    found = {}
    for row in re.findall(r"<tr.*?</tr>", table[0], re.DOTALL):
        cells = [
            " ".join(unescape(re.sub("<[^>]*>", " ", re.sub('<span class="muted">.*?</span>', "", cell))).split())
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        ]
        found[cells[0]] = cells[1:]
    return found


async def test_the_page_has_the_figures_of_the_report_to_the_minor_unit(
    pool: Pool, accounts: Accounts, open_browser: OpenBrowser
) -> None:
    await one_of_each(accounts)
    await accounts.sync([stated_usage("order-part", provider_gross_amount_minor="49.125", protocol_fee_minor="0.2",
                                      provider_receivable_minor="48.925", plan_type="nano")])  # fmt: skip
    page, report = await (await open_browser("vera")).get(PAGE), await reported(pool)
    assert page.status == 200
    for name, currency in report.currencies.items():
        found = rows(page, name)
        assert found["Standard payments"][:2] == [
            str(currency.standard.payments), figure(currency.standard.gross, name),
        ]  # fmt: skip
        for kind in Money:
            sums = total(band.kinds[kind] for band in currency.bands.values())
            assert found[str(kind).replace("_", " ").capitalize()] == [
                str(sums.payments), *(figure(each, name) for each in sums[1:]),
            ]  # fmt: skip
        for standing, stake in currency.in_doubt.items():
            assert found[standing.replace("_", " ").capitalize()][1] == figure(stake, name)
    yen = rows(page, "JPY")
    assert yen["Unsettled"][1] == "649.125"
    assert rows(page, "USD")["Unsettled"][1:] == ["2.00", "0.02", "1.98"]
    assert "of unsettled, in the unknown state thawing" in page.words


async def test_files_are_those_of_the_command(pool: Pool, accounts: Accounts, open_browser: OpenBrowser) -> None:
    await one_of_each(accounts)
    browser, report = await open_browser("vera"), await reported(pool)
    table = await browser.get("/revenue/report.csv?period=2026-11")
    assert (table.status, table.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert table.headers["Content-Disposition"] == 'attachment; filename="kessai-revenue-2026-11.csv"'
    assert table.text.encode() == csv_lines(report)
    whole = orjson.loads((await browser.get("/revenue/report.json?period=2026-11")).text)
    assert whole | {"as_of": None} == orjson.loads(json_of(report)) | {"as_of": None}
    page = await browser.get(PAGE)
    for form in ("csv", "json"):
        assert f'href="/revenue/report.{form}?period=2026-11"' in page.text


async def test_who_may_read_it(open_browser: OpenBrowser) -> None:
    stranger = await open_browser()
    for path in (PAGE, "/revenue/report.csv", "/revenue/report.json"):
        assert (await stranger.get(path)).status == 303
        assert (await (await open_browser("vera")).get(path)).status == 200


async def test_what_the_platform_writes_is_only_ever_shown(accounts: Accounts, open_browser: OpenBrowser) -> None:
    row = stated_usage("order-1", buyer_period_ref=IMAGE, token_symbol=FORMULA)
    await accounts.sync([row], [stated_batch(SCRIPT, SCRIPT, buyer_period_ref=SCRIPT, token_symbol=FORMULA)])
    browser = await open_browser("vera")
    page = await browser.get(PAGE)
    assert (page.status, "<script>alert" in page.text, "<img src=x" in page.text) == (200, False, False)
    assert SCRIPT in page.words
    file = await browser.get("/revenue/report.csv?period=2026-11")
    assert f"'{FORMULA}" in file.text
    assert not re.search(r"(^|,)\"?=", file.text, re.MULTILINE)


@pytest.mark.parametrize("text", ["soon", "2026-13", "2026-11-20..2026-11-01", "2026-W60", SCRIPT])
async def test_a_period_that_is_none_says_how_to_write_one(open_browser: OpenBrowser, text: str) -> None:
    for path in ("/revenue", "/revenue/report.csv"):
        browser = await open_browser("vera")
        page = await browser.get(f"{path}?period={text}")
        assert (page.status, "is no period" in page.words, "2026-W47 (an ISO week)" in page.words) == (400, True, True)
        assert SCRIPT not in page.text


@pytest.mark.parametrize("period", ["0001", "0001-01", "9999", "9999-12", "9999-W52", "9999-12-30", "1-1..2"])
async def test_no_period_is_a_fault_of_ours(open_browser: OpenBrowser, period: str) -> None:
    for chart in ("period", "year"):
        assert (await (await open_browser("vera")).get(f"/revenue?period={period}&chart={chart}")).status in (200, 400)


async def test_a_period_has_neighbours_and_this_month_is_where_one_begins(open_browser: OpenBrowser) -> None:
    browser = await open_browser("vera")
    page = await browser.get("/revenue?period=2026-W01&endpoint=siglume&currency=JPY&chart=year")
    rest = "&endpoint=siglume&currency=JPY&chart=year"
    assert f'rel="prev" href="/revenue?period=2025-W52{rest}"' in unescape(page.text)
    assert f'rel="next" href="/revenue?period=2026-W02{rest}"' in unescape(page.text)
    assert f"Revenue {datetime.now(UTC):%Y-%m} " in (await browser.get("/revenue")).words


async def test_zero_is_plainly_good(accounts: Accounts, open_browser: OpenBrowser) -> None:
    await one_of_each(accounts)
    page = await (await open_browser("vera")).get(PAGE)
    assert "Everything is explained up to 2026-11-20 14:00:00 : statements and webhooks agree." in page.words
    assert rows(page, "JPY")["Unexplained"][1] == "0"
    assert '<tr class="good">' in page.text
    assert '<tr class="bad">' not in page.text


async def test_what_is_unexplained_is_plainly_bad_and_what_is_in_review_leads_there(
    pool: Pool, accounts: Accounts, open_browser: OpenBrowser
) -> None:
    await accounts.fulfil("order-1")
    await accounts.sync([stated_usage(), stated_usage("order-8")])
    clock = [0.0]
    browser = await open_browser("vera", reports=ReportCache(pool, patience=20.0, clock=lambda: clock[0]))
    waiting = await browser.get(PAGE)
    assert 'href="/reviews/1"' in waiting.text
    assert 'href="/reviews?reason=webhook_missing"' in waiting.text
    assert '<tr class="bad">' not in waiting.text
    await accounts.usage_page(stated_usage("order-9"), at=LATER + timedelta(minutes=1))
    clock[0] += OLDEST + 1
    page = await browser.get(PAGE)
    assert "200 JPY unexplained: statements and webhooks differ." in page.words
    assert "1 difference without a review, listed below" in page.words
    assert '<tr class="bad">' in page.text
    assert "Everything is explained" not in page.words


async def test_statements_that_are_late_or_were_never_read_are_told(
    pool: Pool, accounts: Accounts, open_browser: OpenBrowser
) -> None:
    await accounts.fulfil("order-1")
    clock = [0.0]
    browser = await open_browser("vera", reports=ReportCache(pool, patience=20.0, clock=lambda: clock[0]))
    never = (await browser.get(PAGE)).words
    assert "The statements of siglume were never read completely" in never
    assert "kessai reconcile run" in never
    now = datetime.now(UTC)
    for ago, is_late in ((timedelta(minutes=70), False), (timedelta(hours=3), True)):
        await accounts.sync([stated_usage()], at=now - ago)
        clock[0] += OLDEST + 1
        page = (await browser.get(PAGE)).words
        assert ("were last read 3 h ago" in page) == is_late
        assert "siglume read as of" in page


async def test_without_money_the_page_says_what_makes_some(open_browser: OpenBrowser) -> None:
    page = (await (await open_browser("vera")).get("/revenue?period=1999")).words
    assert "No money moved in 1999. Choose another period above." in page
    assert "There is nothing to compare: no endpoint has micro or nano payments." in page
    assert "No buyer owes anything." in page


async def test_a_currency_is_shown_alone(accounts: Accounts, open_browser: OpenBrowser) -> None:
    await one_of_each(accounts)
    browser = await open_browser("vera")
    page = await browser.get(f"{PAGE}&currency=USD")
    assert ("USD of 2026-11" in page.words, "JPY of 2026-11" in page.words) == (True, False)
    assert "There was JPY, USD. Reset the currency to see it." in (await browser.get(f"{PAGE}&currency=EUR")).words


async def test_books_that_take_long_hold_nobody_up(pool: Pool, accounts: Accounts, open_browser: OpenBrowser) -> None:
    await one_of_each(accounts)
    browser = await open_browser("vera", reports=ReportCache(pool, patience=0.05))
    async with connected(pool) as connection:
        holding = connection.transaction()
        await holding.start()
        await connection.execute("LOCK TABLE kessai.statement_usage")
        began = time.perf_counter()
        page = await browser.get(PAGE)
        assert time.perf_counter() - began < 1.5  # whoever waits for the lock waits for 2 s
        assert (page.status, page.headers["Refresh"]) == (200, "1")
        assert "The report is being computed." in page.words
        assert (await browser.get("/orders")).status == 200
        await holding.rollback()
    async with asyncio.timeout(10):
        while "being computed" in (page := await browser.get(PAGE)).words:
            await asyncio.sleep(0.05)
    assert rows(page, "JPY")["Settled"][1] == "200"


async def test_questions_are_asked_once_and_not_without_end(pool: Pool) -> None:
    clock = [0.0]
    reports, november = ReportCache(pool, clock=lambda: clock[0]), Period.parse("2026-11")
    first = reports.report(november, None)
    assert reports.report(november, None) is first
    await first
    clock[0] += LEAST  # it took no time by this clock; a page that waits has come back by then
    assert reports.report(november, None) is first
    clock[0] += 0.001
    assert reports.report(november, None) is not first
    for number in range(MOST - 1):
        reports.report(november, f"endpoint-{number}")
    with pytest.raises(TooManyReports):
        reports.exposures(None)
    await reports.close()


async def test_a_failure_is_told_for_a_while_then_asked_anew(pool: Pool) -> None:
    clock = [0.0]
    reports = ReportCache(pool, clock=lambda: clock[0])
    await pool.execute("ALTER TABLE kessai.statement_batches RENAME TO away")
    failed = reports.exposures(None)
    with pytest.raises(DatabaseUnavailable):
        await failed
    assert reports.exposures(None) is failed
    clock[0] += 6
    await pool.execute("ALTER TABLE kessai.away RENAME TO statement_batches")
    assert await reports.exposures(None) == []


async def test_buyers_stand_nearest_first_and_the_rest_is_counted(
    accounts: Accounts, open_browser: OpenBrowser
) -> None:
    batches = [
        stated_batch(f"batch-{number}", "ready", payments=number, buyer_period_ref=f"buyer-{number:02d}")
        for number in range(1, 31)
    ]
    await accounts.sync([], batches)
    page = await (await open_browser("vera")).get(PAGE)
    listed = re.findall(r'<td data-label="Buyer"><span class="id" title="(buyer-\d\d)"', page.text)
    assert listed == [f"buyer-{number:02d}" for number in range(30, 10, -1)]
    assert "And 10 more, who are farther from their thresholds" in page.words
    assert "6,000 JPY of 10,000" in page.words
    assert Decimal("0.8") == Decimal(re.search(r"warning (\d+)%", page.words)[1]) / 100  # type: ignore[index]
