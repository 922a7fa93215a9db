"""`kessai checkout` as shops run it: two servers, one killed at the worst moment, one session."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import asyncpg
import pytest

from deploy.local.ports import free_ports
from deploy.sandbox.sandbox import Options, Sandbox
from tests.programs import Kessai, Role

ENVIRONMENT = {
    "SIGLUME_DIRECT_PAYMENT_MERCHANT": "sandbox_merchant",
    "SIGLUME_MERCHANT_AUTH_TOKEN": "sandbox_merchant_token",
    "SHOP_PUBLIC_ORIGIN": "http://localhost:3000",
    "KESSAI_CHECKOUT_SUCCESS_URL": "http://localhost:3000/thanks",
    "KESSAI_CHECKOUT_CANCEL_URL": "http://localhost:3000/cart",
    "KESSAI_CHECKOUT_DEADLINE": "3",
}


async def ask(session: aiohttp.ClientSession, method: str, url: str, **body: object) -> tuple[int, dict[str, Any]]:
    async with session.request(method, url, json=body or None) as answer:
        return answer.status, await answer.json(content_type=None)


async def start(session: aiohttp.ClientSession, url: str, order_id: str) -> dict[str, Any]:
    """As a shop does it: come back as long as another call is at it."""
    while True:
        status, told = await ask(session, "POST", f"{url}/orders/{order_id}/checkout")
        if status != 202:
            assert status in (200, 201), told
            return told | {"status": status}
        await asyncio.sleep(0.1)


async def test_a_hundred_starts_on_two_servers_of_which_one_is_killed_open_one_session(
    kessai: Kessai, database_url: str
) -> None:
    token = kessai("checkout-clients", "add", "shop").stdout.strip()
    ports = free_ports(2)
    dying_url, living_url = (f"http://127.0.0.1:{port}" for port in ports)
    async with (
        Sandbox(Options()) as sandbox,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
    ):
        environment = ENVIRONMENT | {"SIGLUME_API_BASE": sandbox.base_url}
        with (
            kessai.role("checkout", "--port", str(ports[0]), environment=environment) as dying,
            kessai.role("checkout", "--port", str(ports[1]), environment=environment) as living,
        ):
            for order_id in ("order-0", "order-1"):
                url = f"{living_url}/orders/{order_id}"
                assert (await ask(session, "PUT", url, amount_minor=1200, currency="JPY"))[0] == 201
            both = (dying_url, living_url)
            told = await asyncio.gather(*(start(session, both[number % 2], "order-0") for number in range(100)))
            _check(told, sandbox.platform.checkout.every()[0].id)
            await _kill_between_answer_and_commit(session, dying_url, dying, sandbox, database_url)
            assert (await ask(session, "POST", f"{living_url}/orders/order-1/checkout"))[0] == 202
            told = await asyncio.gather(*(start(session, living_url, "order-1") for _ in range(100)))
        _, opened = sandbox.platform.checkout.every()
        _check(told, opened.id)
        for secret in (token, "sandbox_merchant_token", told[0]["checkout_url"]):
            assert secret not in dying.output() + living.output()


def _check(told: Sequence[Mapping[str, Any]], session_id: str) -> None:
    """One made the session, and all have it."""
    assert {each["session_id"] for each in told} == {session_id}
    assert len({each["checkout_url"] for each in told}) == 1
    assert Counter(each["status"] for each in told) == {201: 1, 200: 99}


async def _kill_between_answer_and_commit(
    session: aiohttp.ClientSession, url: str, role: Role, sandbox: Sandbox, database_url: str
) -> None:
    """What Siglume answered is about to be written down, where a lock holds it up; then the process is gone."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE kessai.challenges IN ACCESS EXCLUSIVE MODE")
            call = asyncio.create_task(ask(session, "POST", f"{url}/orders/order-1/checkout"))
            while len(sandbox.platform.checkout.every()) < 2:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            role.kill()
            with pytest.raises(aiohttp.ClientError):
                await call
    finally:
        await connection.close()


def test_it_says_what_it_needs_before_it_listens(kessai: Kessai) -> None:
    for given, says in (
        ({}, "no payment can be started: set SIGLUME_MERCHANT_AUTH_TOKEN"),
        ({"SIGLUME_MERCHANT_AUTH_TOKEN": "token"}, "no merchant key for endpoint 'siglume'"),
        ({"SIGLUME_MERCHANT_AUTH_TOKEN": "cli_12345678"}, "is a Developer Portal key"),
    ):
        ran = kessai("checkout", environment=given)
        assert (ran.returncode, ran.stderr.count("\n"), says in ran.stderr) == (1, 1, True), ran


def test_it_starts_without_postgres_says_so_and_ends_in_order(kessai: Kessai) -> None:
    away = ENVIRONMENT | {"KESSAI_DATABASE_URL": "postgresql://someone:hunter2@127.0.0.1:1/kessai"}
    (port,) = free_ports(1)
    with kessai.role("checkout", "--port", str(port), environment=away) as role:
        status, headers = asyncio.run(_order(f"http://127.0.0.1:{port}"))
        assert (status, headers["Retry-After"]) == (503, "5")
        assert role.terminate() == 0
    assert "checkout.stopped" in role.output()
    assert "hunter2" not in role.output()


async def _order(url: str) -> tuple[int, dict[str, str]]:
    headers = {"Authorization": "Bearer kessai_" + "a" * 43}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{url}/orders/order-1") as answer:
        return answer.status, dict(answer.headers)
