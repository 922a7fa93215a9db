"""`kessai console` serves the API beside its pages, by one port and one pool of each kind."""

import pytest
from aiohttp import ClientSession

from shared.ledger import api_tokens
from shared.ledger.database import Pool, connected
from tests.given import new_order, payment
from tests.integration.console.test_serving import get, serving
from tests.integration.ledger.books import TestBooks


async def test_a_token_calls_the_running_console_and_is_counted_among_its_requests(
    pool: Pool, database_url: str
) -> None:
    await TestBooks(pool).register(new_order())
    async with connected(pool) as connection:
        token = await api_tokens.add(connection, "vera", "test", actor="test")
    async with serving(KESSAI_DATABASE_URL=database_url) as (pages, admin):
        assert (await get(f"{pages}/api/v1/orders"))[0] == 401
        async with ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
            async with session.get(f"{pages}/api/v1/orders") as answer:
                assert [order["order_id"] for order in (await answer.json())["items"]] == ["order-1"]
            async with session.get(f"{pages}/api/v1/exports/orders.csv") as answer:
                assert b"order-1,siglume,1200" in await answer.read()
            async with session.get(f"{pages}/orders", allow_redirects=False) as answer:
                assert answer.status == 303
        told = (await get(f"{admin}/metrics"))[1]
        assert 'kessai_console_requests_total{page="/api/v1/orders",status="401"} 1.0' in told
        assert 'kessai_console_requests_total{page="/api/v1/orders",status="200"} 1.0' in told


@pytest.mark.parametrize(("secret", "verdict"), [("whsec_tests", "proved"), (None, "key_not_configured")])
async def test_a_console_that_was_given_the_secret_proves_signatures_and_any_other_serves_without(
    pool: Pool, database_url: str, secret: str | None, verdict: str
) -> None:
    books = TestBooks(pool)
    await books.register(new_order())
    await books.apply(payment())
    async with connected(pool) as connection:
        token = await api_tokens.add(connection, "vera", "test", actor="test")
    environment = {"KESSAI_DATABASE_URL": database_url} | ({"SIGLUME_WEBHOOK_SECRET": secret} if secret else {})
    async with serving(**environment) as (pages, _):
        await get(f"{pages}/login")
        async with (
            ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
            session.get(f"{pages}/api/v1/events/siglume/evt-1/proofs") as answer,
        ):
            assert [proof["verdict"] for proof in (await answer.json())["items"]] == [verdict]
