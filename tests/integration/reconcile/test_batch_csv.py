"""`kessai revenue check-csv` without a file: the export is fetched from Siglume, whole or not at all."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from deploy.local.ports import LOOPBACK, free_ports
from shared.ledger.database import Pool
from tests.acceptance.conftest import assert_one_line
from tests.integration.ledger.books import TestBooks
from tests.integration.platform_api.platform import hang_up, raw, refusal
from tests.integration.reconcile.account import TOKEN, Account, run
from tests.integration.sweep.conftest import stall
from tests.integration.sweep.stall import TOKEN as STALL_TOKEN
from tests.integration.sweep.stall import Stall
from tests.programs import Kessai, Ran
from tests.unit.sdrp.api.test_usage_csv import written

__all__ = ["stall"]
EXPORT = "settlement-batches/msb_1/usage-events.csv"
AMOUNTS: dict[str, Any] = {
    "provider_gross_amount_minor": "400",
    "protocol_fee_minor": "4",
    "provider_receivable_minor": "396",
}


async def check(kessai: Kessai, batch_id: str, base_url: str, token: str = TOKEN, **environment: str) -> Ran:
    given = {"SIGLUME_API_BASE": base_url, "SIGLUME_MERCHANT_AUTH_TOKEN": token, **environment}
    return await asyncio.to_thread(kessai, "revenue", "check-csv", batch_id, environment=given)


@pytest.fixture
async def batch(pool: Pool, there: Account) -> str:
    """Of two payments, as the books have it from its statement; its id."""
    there.bought(2)
    there.closed(1, "settled", **AMOUNTS)
    await run(pool, there)
    return "msb_1"


async def test_the_export_is_fetched_and_compared_while_nothing_of_the_books_is_held(
    kessai: Kessai, books: TestBooks, there: Account, batch: str
) -> None:
    held: list[object] = []

    async def export(request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        held.append(
            await books.value(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kessai cli' AND xact_start IS NOT NULL"
                " AND datname = current_database()"
            )
        )
        return await raw(written(there.usage), content_type="text/csv")(request)

    there.bent[EXPORT] = export
    ran = await check(kessai, batch, there.base_url)
    assert (ran.returncode, "the file agrees" in ran.stderr) == (0, True), ran.stderr
    there.usage.pop()
    ran = await check(kessai, batch, there.base_url)
    assert (ran.returncode, "the file DIFFERS" in ran.stderr) == (1, True)
    assert held == [0, 0]


async def test_the_sandbox_exports_what_its_statements_say(kessai: Kessai, stall: Stall) -> None:
    for number in range(3):
        await stall.sell(f"order-{number}", 200)
    await stall.wait(timedelta(days=20))
    settings = {"SIGLUME_API_BASE": stall.sandbox.base_url, "SIGLUME_MERCHANT_AUTH_TOKEN": STALL_TOKEN}
    read = await asyncio.to_thread(kessai, "reconcile", "run", environment=settings)
    assert read.returncode == 0, read.stderr
    (found,) = stall.sandbox.books().batches
    ran = await check(kessai, found.batch_id, stall.sandbox.base_url, STALL_TOKEN)
    assert (ran.returncode, "the file agrees" in ran.stderr) == (0, True), ran.stderr


@pytest.mark.parametrize(
    ("length", "rows", "says"),
    [
        (1 << 20, 2, "broke off"),
        (None, 1, "broke off"),
    ],
)
async def test_an_export_that_is_cut_off_is_one_line(
    kessai: Kessai, there: Account, batch: str, length: int | None, rows: int, says: str
) -> None:
    there.bent[EXPORT] = hang_up(written(there.usage[:rows]), length=length)
    assert_one_line(await check(kessai, batch, there.base_url), says=says)


async def test_an_export_that_only_seems_whole_is_one_line(kessai: Kessai, there: Account, batch: str) -> None:
    there.bent[EXPORT] = raw(written(there.usage)[:-40], content_type="text/csv")
    ran = await check(kessai, batch, there.base_url)
    assert_one_line(ran, says="ends too early, after 1 rows: fetch it again")
    assert "Siglume's export, line 3" in ran.stderr


async def test_what_cannot_be_fetched_is_one_line(
    kessai: Kessai, books: TestBooks, there: Account, batch: str, tmp_path: Path
) -> None:
    assert_one_line(await check(kessai, "msb_9", there.base_url), says="no statement of batch 'msb_9'")
    assert_one_line(await check(kessai, batch, there.base_url, token=""), says="set SIGLUME_MERCHANT_AUTH_TOKEN")
    there.bent[EXPORT] = refusal(401, message=f"no such token {TOKEN}")
    refused = await check(kessai, batch, there.base_url)
    assert_one_line(refused, says="401")
    assert TOKEN not in refused.stderr
    (nobody,) = free_ports(1)
    assert_one_line(await check(kessai, batch, f"http://{LOOPBACK}:{nobody}/v1"), says="no connection")
    (tmp_path / "endpoints.toml").write_text('[endpoints.other]\nsecrets = ["whsec_other"]\n')
    await books.rows("UPDATE kessai.statement_batches SET endpoint = 'other'")
    ran = await check(kessai, batch, there.base_url, KESSAI_CONFIG=str(tmp_path / "endpoints.toml"))
    assert_one_line(ran, says="endpoint 'other' has no Siglume token")
    assert there.requests("settlement-batches/msb_1/usage-events.csv") == [EXPORT]
