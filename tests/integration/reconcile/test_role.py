"""The role runs by itself: on time, alone, patient with a platform that is away, and no burden for the roles beside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from shared.ledger.database import Pool, connected
from shared.ledger.revenue import syncs
from shared.ledger.revenue.exposed import LastExposed, last_exposed
from shared.observe.metrics import new_registry
from tests.given import ENDPOINT, NOW
from tests.integration.ledger.books import TestBooks
from tests.integration.platform_api.platform import QUICK, refusal, slow
from tests.integration.reconcile.account import Account, account, run
from tests.integration.workers.bench import until
from workers.database import RetryingDatabase
from workers.reconcile import role
from workers.reconcile.metrics import ReconcileMetrics
from workers.reconcile.role import Reconcile


def reconcile_role(
    pool: Pool, registry: CollectorRegistry | None = None, *, first_retry: float = role.FIRST_RETRY, **accounts: Account
) -> Reconcile:
    return Reconcile(
        books=RetryingDatabase(pool),
        providers={name: there.access() for name, there in accounts.items()},
        every=3600.0,
        metrics=ReconcileMetrics(registry or new_registry()),
        clock=lambda: NOW,
        patience=QUICK,
        first_retry=first_retry,
    )


@asynccontextmanager
async def running(reconcile: Reconcile) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(reconcile.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 5.0)


async def compared(books: TestBooks, endpoint: str = ENDPOINT) -> bool:
    async with connected(books.pool) as connection:
        return await syncs.compared_at(connection, endpoint) is not None


async def test_statements_are_read_and_counted(pool: Pool, books: TestBooks, there: Account) -> None:
    there.bought(4)
    registry = new_registry()
    async with running(reconcile_role(pool, registry, siglume=there)):
        await until(lambda: compared(books))
        await until(lambda: _counted(registry, "kessai_reconcile_runs_total", result="finished"))
    rows = registry.get_sample_value("kessai_reconcile_rows_total", {"endpoint": ENDPOINT, "list": "usage"})
    assert rows == 4


async def test_buyers_near_their_threshold_are_told_before_the_platform_takes_no_more_of_them(
    pool: Pool, books: TestBooks, there: Account
) -> None:
    registry = new_registry()
    for number, (status, gross) in enumerate([("ready", "9000"), ("past_due", "200"), ("settled", "9500")], start=1):
        there.closed(number, status, provider_gross_amount_minor=gross, buyer_period_ref=f"bpr_{number}")
    with capture_logs() as told:
        async with running(reconcile_role(pool, registry, siglume=there)):
            await until(lambda: _counted(registry, "kessai_reconcile_runs_total", result="finished"))
    (line,) = [each for each in told if each["event"] == "reconcile.exposure"]
    assert (line["endpoint"], line["log_level"], line["warning"], line["paused"]) == (ENDPOINT, "warning", 1, 1)
    assert line["buyers"] == ["bpr_1", "bpr_2"]
    counts = [
        registry.get_sample_value("kessai_reconcile_exposed_buyers", {"endpoint": ENDPOINT, "level": level})
        for level in ("warning", "paused")
    ]
    assert counts == [1, 1]
    async with connected(books.pool) as connection:
        assert await last_exposed(connection) == LastExposed(1, 1, NOW)
    there.batches.clear()
    for number in (1, 2):
        there.closed(number, "settled", buyer_period_ref=f"bpr_{number}")
    await run(pool, there, at=NOW + timedelta(hours=2), whole=True)
    async with connected(books.pool) as connection:
        assert await last_exposed(connection) is None


async def _counted(registry: CollectorRegistry, name: str, **labels: str) -> bool:
    return bool(registry.get_sample_value(name, {"endpoint": ENDPOINT} | labels))


async def test_a_restart_reads_nothing_before_it_is_due(pool: Pool, there: Account) -> None:
    await run(pool, there, at=NOW - timedelta(minutes=30))
    there.asked.clear()
    async with running(reconcile_role(pool, siglume=there)):
        await asyncio.sleep(0.3)
    assert there.asked == []


async def test_a_restart_shows_what_the_last_run_found_before_the_next_one(pool: Pool, there: Account) -> None:
    for number, gross in enumerate(["9000", "9900"], start=1):
        there.closed(number, "ready", provider_gross_amount_minor=gross, buyer_period_ref=f"bpr_{number}")
    there.bought(4, batch=None, at=NOW - timedelta(days=2))  # without webhooks: differences
    there.totals = {"unsettled_provider_receivable_minor": "123456"}
    first, second = new_registry(), new_registry()
    async with running(reconcile_role(pool, first, siglume=there)):
        await until(lambda: _counted(first, "kessai_reconcile_runs_total", result="finished"))
    async with running(reconcile_role(pool, second, siglume=there)):
        await until(lambda: _counted(second, "kessai_reconcile_exposed_buyers", level="warning"))
    assert second.get_sample_value("kessai_reconcile_runs_total", {"endpoint": ENDPOINT, "result": "finished"}) is None
    assert second.get_sample_value("kessai_reconcile_finished_timestamp_seconds", {"endpoint": ENDPOINT}) == (
        NOW.timestamp()
    )
    for name in ("differences", "unexplained"):
        before, after = (
            registry.get_sample_value(f"kessai_reconcile_{name}", {"endpoint": ENDPOINT})
            for registry in (first, second)
        )
        assert before
        assert after == before


async def test_a_platform_that_is_away_is_told_and_waited_for(pool: Pool, books: TestBooks, there: Account) -> None:
    there.bent["settlement-batches"] = refusal(503)
    there.bought(4)
    reconcile = reconcile_role(pool, siglume=there, first_retry=0.05)

    async def is_degraded() -> bool:
        return "statements of siglume" in reconcile.readiness().degraded

    async def is_well() -> bool:
        return not reconcile.readiness().degraded

    async with running(reconcile):
        await until(is_degraded)
        assert "503" in reconcile.readiness().degraded["statements of siglume"]
        there.bent.clear()
        await until(is_well)
    assert await compared(books)
    assert not reconcile.readiness().failing


async def test_an_endpoint_whose_platform_is_away_does_not_hold_up_another(
    pool: Pool, books: TestBooks, there: Account
) -> None:
    async with account() as other:
        other.bent["summary"] = refusal(401)
        async with running(reconcile_role(pool, siglume=there, other=other)):
            await until(lambda: compared(books))
        assert not await compared(books, "other")


async def test_of_two_replicas_one_reads(pool: Pool, books: TestBooks, there: Account) -> None:
    there.bought(7)
    async with running(reconcile_role(pool, siglume=there)), running(reconcile_role(pool, siglume=there)):
        await until(lambda: compared(books))
        await asyncio.sleep(0.3)
    assert len(there.requests("usage-events")) == 3


async def test_a_stop_breaks_a_run_off_and_the_next_one_goes_on(pool: Pool, books: TestBooks, there: Account) -> None:
    there.bought(7)
    there.bent["usage-events?3"] = slow(1.5, refusal(503))

    async def is_waiting() -> bool:
        return "usage-events?3" in there.asked

    async with running(reconcile_role(pool, siglume=there)):
        await until(is_waiting)
        await until(lambda: _has_rows(books, 3))
    there.bent.clear()
    there.asked.clear()
    async with running(reconcile_role(pool, siglume=there)):
        await until(lambda: compared(books))
    assert there.requests("usage-events")[0] == "usage-events?3"
    assert await _has_rows(books, 7)


async def _has_rows(books: TestBooks, count: int) -> bool:
    return bool(await books.value("SELECT count(*) FROM kessai.statement_usage") == count)
