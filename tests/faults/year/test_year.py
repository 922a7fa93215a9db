"""Real ingress, RabbitMQ, workers, Postgres and client beside a simulated Siglume, for a year, with every fault on.

KESSAI_YEAR_ORDERS says how many orders are sold; a year of 10,000 takes some minutes.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deploy.local.ports import LOOPBACK, free_ports
from deploy.sandbox.core.books import Books
from deploy.sandbox.core.platform import Shop
from deploy.sandbox.sandbox import Options, Sandbox
from shared.ledger.database import Pool, connected, open_pool
from shared.ledger.revenue.comparing import span_of
from shared.ledger.revenue.explanations import Explained, Standing, explain
from shared.ledger.revenue.findings import find_differences
from shared.ledger.transitions import ReviewReason
from shared.sdrp.api.access import Access
from shared.sdrp.api.transport import Transport
from tests.conftest import WEBHOOK_SECRET
from tests.faults.year.business import PATIENCE, Business
from tests.faults.year.truth import (
    booked_orders,
    booked_sums,
    explained_sums,
    told_sums,
    true_gross,
    true_orders,
    true_sums,
)
from tests.given import ENDPOINT
from tests.programs import Kessai

START = datetime(2030, 1, 7, 9, 0, tzinfo=UTC)
"""Always the same periods; later than the clock of the machine, by which webhooks were booked before any run."""
ORDERS = int(os.environ.get("KESSAI_YEAR_ORDERS", "2000"))


@pytest.mark.timeout(90 + ORDERS // 10)
async def test_a_year_ends_with_the_platforms_own_books_and_every_difference_explained(
    kessai: Kessai, database_url: str
) -> None:
    async with opened(kessai, database_url) as business:
        with kessai.role("worker", "all", environment=METERED) as worker:
            await business.trade(range(ORDERS // 2))
            worker.kill()
        with kessai.role("worker", "all", environment=METERED):
            await business.trade(range(ORDERS // 2, ORDERS))
            await calm_down(business)
            await before_anybody_helps(business)
            await business.redeliver()
            await business.register(*business.forgotten)
            await business.caught_up()
            await after_everything_arrived(business)


@pytest.mark.timeout(120)
async def test_statements_that_name_no_payment_agree_day_by_day_and_settle_no_order(
    kessai: Kessai, database_url: str
) -> None:
    """As documented rows are. Whatever a midnight parts, and whenever a run cuts, nothing is blamed for it."""
    async with opened(kessai, database_url, orders=400, names_payments=False) as business:
        business.sandbox.faults.clear()
        with kessai.role("worker", "all", environment=METERED):
            await business.trade(range(400))
            await calm_down(business)
            await business.register(*business.forgotten)
            await business.caught_up()
            last = await business.read_statements()
        assert not any(run.unexplained for run in business.runs)
        truth = business.sandbox.books()
        async with connected(business.pool) as connection:
            assert await booked_sums(connection) == true_sums(truth)
            states = {state for state, _ in (await booked_orders(connection)).values()}
        assert (last.compared.differences, last.unexplained) == (0, {})
        assert states == {"paid", "fulfilled_unsettled"}


METERED = {"KESSAI_ALLOW_METERED_PAYMENTS": "true", "SIGLUME_DIRECT_PAYMENT_MERCHANT": "sandbox_merchant"}


@asynccontextmanager
async def opened(
    kessai: Kessai, database_url: str, *, orders: int = ORDERS, names_payments: bool = True
) -> AsyncIterator[Business]:
    """A door, a sandbox that delivers to it, and books."""
    (port,) = free_ports(1)
    shop = replace(Shop(), webhook_url=f"http://{LOOPBACK}:{port}/webhooks/{ENDPOINT}", webhook_secret=WEBHOOK_SECRET)
    assert kessai("topology", "apply").returncode == 0
    pool = await open_pool(database_url, application="test", size=4, statement_timeout=30.0, keys_only=True)
    try:
        with kessai.role("ingress", "--host", LOOPBACK, "--port", str(port)):
            async with Sandbox(
                Options(shop, start=START, seed=11, run="year", names_payments=names_payments)
            ) as sandbox:
                access = Access.of(shop.token, base_url=sandbox.base_url)
                async with Transport(access, patience=PATIENCE) as transport:
                    business = Business(sandbox, pool, transport, orders)
                    business.switch_on()
                    yield business
    finally:
        pool.terminate()


async def calm_down(business: Business) -> None:
    """Faults end, and whatever still waits to be delivered again is."""
    business.sandbox.faults.clear()
    await business.sandbox.idle()
    await business.sandbox.advance(timedelta(days=4))
    await business.caught_up()
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
    assert explained_sums(told, [each.difference for each in explained]) == true_gross(truth)
    assert found.items() <= wanted.items()


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
    open_reviews = "SELECT count(*) FROM kessai.reviews WHERE state = 'open'"
    assert await business.pool.fetchval(open_reviews) == 0


async def differences(pool: Pool) -> list[Explained]:
    async with connected(pool) as connection, connection.transaction():
        long_ago = datetime(2000, 1, 1, tzinfo=UTC)
        span = await span_of(connection, ENDPOINT, since=long_ago)
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
