"""Real doors, RabbitMQ, workers, Postgres and clients beside a simulated Siglume, for a year, with every fault on.

KESSAI_YEAR_ORDERS says how many orders are sold; a year of 10,000 takes some minutes.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientSession

from deploy.local.ports import LOOPBACK, free_ports
from deploy.sandbox.core.batches import BatchStatus
from deploy.sandbox.core.books import Books
from deploy.sandbox.core.platform import Shop
from deploy.sandbox.sandbox import Options, Sandbox
from shared.ledger.database import Pool, connected, open_pool
from shared.ledger.revenue.comparing import span_of
from shared.ledger.revenue.csv_check import check_csv
from shared.ledger.revenue.explanations import Explained, Standing, explain
from shared.ledger.revenue.findings import find_differences
from shared.ledger.revenue.periods import Period
from shared.ledger.revenue.report import Report, revenue
from shared.ledger.sweeps import WEBHOOK_CAME
from shared.ledger.transitions import ReviewReason
from shared.sdrp.api.access import Access
from shared.sdrp.api.clients import ProviderClient
from shared.sdrp.api.transport import Transport
from shared.sdrp.api.usage import ProviderUsageEvent
from shared.sdrp.money import Currency
from tests.conftest import WEBHOOK_SECRET
from tests.faults.year.business import PATIENCE, Business
from tests.faults.year.till import Till
from tests.faults.year.truth import (
    booked_orders,
    booked_sums,
    explained_sums,
    in_review,
    reported_standard,
    reported_sums,
    told_sums,
    true_gross,
    true_orders,
    true_standard,
    true_sums,
    unbooked,
)
from tests.given import ENDPOINT
from tests.programs import Kessai
from workers.database import RetryingDatabase

START = datetime(2030, 1, 7, 9, 0, tzinfo=UTC)
"""Always the same periods; later than the clock of the machine, by which webhooks were booked before any run."""
ALL_TIME = Period.parse("2000-01-01..2100-01-01")
MISSED = ReviewReason.MISSED_WEBHOOK
EXPLANATIONS = {
    ReviewReason.WEBHOOK_MISSING,
    MISSED,
    ReviewReason.UNKNOWN_CHALLENGE_HASH,
    ReviewReason.UNKNOWN_METERED_CHALLENGE_HASH,
}
"""By what statements say, by what sessions say, and by webhooks of orders that were never registered."""
ORDERS = int(os.environ.get("KESSAI_YEAR_ORDERS", "2000"))


@pytest.mark.timeout(90 + ORDERS // 10)
async def test_a_year_ends_with_the_platforms_own_books_and_every_difference_explained(
    kessai: Kessai, database_url: str
) -> None:
    async with opened(kessai, database_url) as business:
        environment = environment_of(business.sandbox)
        with kessai.role(*WORKER, environment=environment) as worker:
            await business.trade(range(ORDERS // 2))
            worker.kill()
        with kessai.role(*WORKER, environment=environment):
            await business.trade(range(ORDERS // 2, ORDERS))
            await calm_down(business)
            await before_anybody_helps(business)
            await business.redeliver()
            await business.register_forgotten()
            await business.sweep()
            await after_everything_arrived(business)
            await exports_agree(business)


@pytest.mark.timeout(120)
async def test_statements_that_name_no_payment_agree_day_by_day_and_settle_no_order(
    kessai: Kessai, database_url: str
) -> None:
    """As documented rows are. Whatever a midnight parts, and whenever a run cuts, nothing is blamed for it."""
    async with opened(kessai, database_url, orders=400, names_payments=False) as business:
        business.sandbox.faults.clear()
        with kessai.role(*WORKER, environment=environment_of(business.sandbox)):
            await business.trade(range(400))
            await calm_down(business)
            await business.register_forgotten()
            await business.caught_up()
            last = await business.read_statements()
        assert not any(run.unexplained for run in business.runs)
        truth = business.sandbox.books()
        async with connected(business.pool) as connection:
            assert await booked_sums(connection) == true_sums(truth)
            states = {state for state, _ in (await booked_orders(connection)).values()}
        assert (last.compared.differences, last.unexplained) == (0, {})
        assert states == {"paid", "fulfilled_unsettled"}


WORKER = ("worker", "confirmations", "dead-letters", "outbox", "reviews")
"""Statements and sessions are of the sandbox's time, so the business reads them: a worker goes by the machine's."""


def environment_of(sandbox: Sandbox) -> dict[str, str]:
    """Of a shop that sells everything."""
    shop = sandbox.options.shop
    return {
        "KESSAI_ALLOW_METERED_PAYMENTS": "true",
        "KESSAI_CHECKOUT_CANCEL_URL": f"{shop.origin}/cart",
        "KESSAI_CHECKOUT_SUCCESS_URL": f"{shop.origin}/thanks",
        "SHOP_PUBLIC_ORIGIN": shop.origin,
        "SIGLUME_API_BASE": sandbox.base_url,
        "SIGLUME_DIRECT_PAYMENT_MERCHANT": shop.merchant,
        "SIGLUME_MERCHANT_AUTH_TOKEN": shop.token,
    }


@asynccontextmanager
async def opened(
    kessai: Kessai, database_url: str, *, orders: int = ORDERS, names_payments: bool = True
) -> AsyncIterator[Business]:
    """A door, a sandbox that delivers to it, a checkout that sends buyers there, and books."""
    door, till = free_ports(2)
    shop = replace(Shop(), webhook_url=f"http://{LOOPBACK}:{door}/webhooks/{ENDPOINT}", webhook_secret=WEBHOOK_SECRET)
    options = Options(shop, start=START, seed=11, run="year", names_payments=names_payments)
    assert kessai("topology", "apply").returncode == 0
    token = kessai("checkout-clients", "add", "shop").stdout.strip()
    async with AsyncExitStack() as stack:
        pool = await open_pool(database_url, application="test", size=4, statement_timeout=30.0, keys_only=True)
        stack.callback(pool.terminate)
        stack.enter_context(kessai.role("ingress", "--host", LOOPBACK, "--port", str(door)))
        sandbox = await stack.enter_async_context(Sandbox(options))
        stack.enter_context(kessai.role("checkout", "--port", str(till), environment=environment_of(sandbox)))
        access = Access.of(shop.token, base_url=sandbox.base_url)
        transport = await stack.enter_async_context(Transport(access, patience=PATIENCE))
        checkout = ClientSession(f"http://{LOOPBACK}:{till}", headers={"Authorization": f"Bearer {token}"})
        await stack.enter_async_context(checkout)
        business = Business(sandbox, pool, transport, Till(sandbox, RetryingDatabase(pool), checkout), orders)
        business.switch_on()
        yield business


async def calm_down(business: Business) -> None:
    """Faults end, and whatever still waits to be delivered again is."""
    business.sandbox.faults.clear()
    await business.sandbox.idle()
    await business.sandbox.advance(timedelta(days=4))
    await business.sweep()
    await business.read_statements()


async def before_anybody_helps(business: Business) -> None:
    """Statements are the platform's books; webhooks differ from them by what never arrived, and somebody knows."""
    truth, pool = business.sandbox.books(), business.pool
    assert min(true_sums(truth).values()) > 0, "every kind of money in both currencies"
    explained = await differences(pool)
    assert {each.standing for each in explained} == {Standing.IN_REVIEW}
    assert {each.difference.reason for each in explained} == {ReviewReason.WEBHOOK_MISSING}
    assert {each.difference.about for each in explained if each.is_own} == missing(business, truth)
    async with connected(pool) as connection:
        assert await booked_sums(connection) == true_sums(truth)
        told = await told_sums(connection)
        found, wanted = await booked_orders(connection), true_orders(truth)
        waiting = await in_review(connection)
    assert explained_sums(told, [each.difference for each in explained]) == true_gross(truth)
    assert found.items() <= wanted.items()
    assert waiting == unbooked(truth, found), "one open review for each standard payment that no order has"
    await everything_is_reported(business, truth)
    reviews = await pool.fetch("SELECT reason, challenge_hash, platform FROM kessai.reviews WHERE state = 'open'")
    assert {ReviewReason(row["reason"]) for row in reviews} == EXPLANATIONS
    swept = sorted(row["challenge_hash"] for row in reviews if row["reason"] == MISSED)
    assert swept == sorted(missed(business, truth))
    assert any(row["platform"] for row in reviews), "the platform was asked about reviews"


async def after_everything_arrived(business: Business) -> None:
    """Then the orders are what the platform says, one by one, and nothing is left to explain."""
    last = await business.read_statements()
    truth = business.sandbox.books()
    assert (last.compared.differences, last.unexplained) == (0, {})
    assert last.totals, "the platform's own sums were there to compare with"
    async with connected(business.pool) as connection:
        assert await booked_sums(connection) == true_sums(truth)
        assert await booked_orders(connection) == true_orders(truth)
        told = await told_sums(connection)
    standard = {currency: totals.standard_gross for currency, totals in truth.totals.items()}
    assert {currency: told[currency, "standard"] for currency in standard} == standard
    report = await everything_is_reported(business, truth)
    assert not report.differences
    assert not any(each.standard_in_review.payments for each in report.currencies.values())
    ends = await business.pool.fetch("SELECT DISTINCT state, resolution FROM kessai.reviews WHERE reason = $1", MISSED)
    assert [tuple(row) for row in ends] == [("closed", WEBHOOK_CAME)]
    open_reviews = "SELECT count(*) FROM kessai.reviews WHERE state = 'open'"
    assert await business.pool.fetchval(open_reviews) == 0


async def everything_is_reported(business: Business, truth: Books) -> Report:
    """The report of all time has the platform's own sums, and explains whatever is not in the books."""
    async with connected(business.pool) as connection:
        report = await revenue(connection, ALL_TIME, now=business.sandbox.now)
    assert report.is_explained
    assert {currency: each.unexplained for currency, each in report.currencies.items()} == {"JPY": 0, "USD": 0}
    assert reported_standard(report) == true_standard(truth)
    assert reported_sums(report) == true_sums(truth)
    return report


async def exports_agree(business: Business) -> None:
    """The largest settled batch of each currency, row by row."""
    settled = [batch for batch in business.sandbox.books().batches if batch.status is BatchStatus.SETTLED]
    client = ProviderClient(business.transport)
    for currency in Currency:
        batch = max((each for each in settled if each.currency is currency), key=lambda each: each.payments)
        async with connected(business.pool) as connection:
            check = await check_csv(connection, batch.batch_id, exported(client, batch.batch_id))
        assert check.agrees
        assert check.file == (batch.payments, batch.gross, batch.fee, batch.receivable)


async def exported(client: ProviderClient, batch_id: str) -> AsyncIterator[list[ProviderUsageEvent]]:
    yield [event async for event in client.provider_usage_events_csv(batch_id)]


async def differences(pool: Pool) -> list[Explained]:
    async with connected(pool) as connection, connection.transaction():
        span = await span_of(connection, ENDPOINT, since=ALL_TIME.since)
        assert span is not None
        return await explain(connection, ENDPOINT, await find_differences(connection, span))


def missing(business: Business, truth: Books) -> set[str]:
    """What the platform told in webhooks that never arrived."""
    gone = {each.event.id: each.event for each in business.undelivered()}
    usage = {each.purchase.payment_id: each.id for each in business.sandbox.platform.settlement.accounts.every()}
    of_usage = {
        f"usage:{usage[payment.requirement_id]}"
        for payment in truth.payments
        if payment.event_id in gone and payment.requirement_id in usage
    }
    batches = {batch.batch_id for batch in truth.batches}
    return of_usage | {
        f"batch:{name}" for event in gone.values() for name in batches if f'"{name}"'.encode() in event.raw
    }


def missed(business: Business, truth: Books) -> list[str]:
    """The challenges of payments through the checkout of which no webhook told."""
    gone = {each.event.id for each in business.undelivered()}
    forgotten = {order.challenge_hash for order in business.till.forgotten}
    lost = [payment.challenge_hash for payment in truth.payments if payment.event_id in gone]
    return [each for each in lost if each not in forgotten]
