"""A whole worker: whatever becomes of statements, the payments that come meanwhile are booked at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from shared.settings import Settings
from tests.given import envelope, new_order, payment
from tests.integration.platform_api.platform import Handler, refusal
from tests.integration.reconcile.account import TOKEN, Account
from tests.integration.workers.bench import Bench, until
from tests.integration.workers.conftest import bench
from workers.reconcile.role import AT_ONCE
from workers.run import Admin, RoleName, work

__all__ = ["bench"]
ENDPOINTS = [f"shop{number}" for number in range(AT_ONCE + 1)]
ROLES = [RoleName.CONFIRMATIONS, RoleName.RECONCILE]


@pytest.fixture
def settings(database_url: str, amqp_url: str, there: Account, tmp_path: Path) -> Settings:
    """One connection for all roles, and more shops than are read at once."""
    for name in ENDPOINTS:
        (tmp_path / name).write_text(f"token_of_{name}")
    table = '[endpoints.{0}]\nsecrets = ["whsec_{0}"]\nprovider_auth_token_file = "{0}"\n'
    (tmp_path / "endpoints.toml").write_text("".join(map(table.format, ENDPOINTS)))
    return Settings.from_env(
        {
            "KESSAI_DATABASE_URL": database_url,
            "KESSAI_DATABASE_POOL": "1",
            "KESSAI_AMQP_URL": amqp_url,
            "KESSAI_CONFIG": str(tmp_path / "endpoints.toml"),
            "SIGLUME_API_BASE": there.base_url,
            "SIGLUME_MERCHANT_AUTH_TOKEN": TOKEN,
            "SIGLUME_DIRECT_PAYMENT_MERCHANT": "tea_house",
        }
    )


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(work(settings, ROLES, Admin(port=0), stop=stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20.0)


def hanging(over: asyncio.Event) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        await over.wait()
        return await refusal(503)(request)

    return handler


async def test_a_platform_that_hangs_keeps_no_payment_waiting(settings: Settings, bench: Bench, there: Account) -> None:
    over = asyncio.Event()
    there.bent["summary"] = hanging(over)
    await bench.books.register(new_order("order-1"))

    async def hangs() -> bool:
        return len(there.asked) >= 2

    async def is_paid() -> bool:
        return (await bench.books.order("order-1")).state == "paid"

    async with working(settings):
        try:
            await until(hangs)
            await bench.send(envelope(payment()))
            await until(is_paid, within=5.0)
        finally:
            over.set()


async def test_shops_beyond_those_read_at_once_have_their_turn(
    settings: Settings, bench: Bench, there: Account
) -> None:
    there.bought(1)

    async def all_are_read() -> bool:
        rows = await bench.books.rows("SELECT endpoint FROM kessai.statement_syncs WHERE compared_at IS NOT NULL")
        return {row["endpoint"] for row in rows} == {"siglume", *ENDPOINTS}

    async with working(settings):
        await until(all_are_read, within=20.0)
