"""Who may call the checkout API: a live token of one of the shop's own systems, and nothing else."""

import hashlib
from datetime import timedelta

import pytest

from ingress.api.failures import Failures
from ingress.checkout.operation import PublicRead
from ingress.checkout.table import OPERATIONS
from shared.ledger import api_tokens, checkout_clients
from shared.ledger.checkout_clients import ClientExists, ClientNotFound, InvalidClientName
from shared.ledger.database import Pool, connected, open_pool
from tests.given import ENDPOINT
from tests.integration.checkout.servers import CheckoutServers, System
from tests.integration.console.furnished import let_in
from tests.integration.ledger.books import TestBooks


async def test_strangers_learn_nothing(servers: CheckoutServers, system: System) -> None:
    await system.put()
    stranger = await servers.open(None)
    for operation in OPERATIONS:
        if isinstance(operation, PublicRead):
            continue
        path = operation.path.format(order_id="order-1")
        assert (await stranger.call(operation.method, path)).problem == "unauthenticated", operation.name
    assert (await stranger.call("GET", "/nothing/here")).problem == "unauthenticated"
    assert (await system.call("GET", "/nothing/here")).problem == "not-found"
    assert (await system.call("PUT", "/challenges")).problem == "method-not-allowed"


async def test_whatever_is_wrong_with_a_token_the_answer_is_the_same(pool: Pool, system: System) -> None:
    live = str(system.token)
    await system.put()
    refused = []
    for token in (f"{live}x", live.upper(), "", "a b", "kessai_" + "0" * 43):
        system.token = token
        refused.append(await system.order())
    system.token = live
    await pool.execute("UPDATE kessai.checkout_clients SET expires_at = now()")
    refused.append(await system.order())
    await pool.execute("UPDATE kessai.checkout_clients SET expires_at = NULL")
    assert (await system.order()).status == 200
    async with connected(pool) as connection:
        await checkout_clients.revoke(connection, "shop", actor="test")
    refused.append(await system.order())
    assert {(told.status, told.raw) for told in refused} == {(401, refused[0].raw)}


async def test_a_persons_token_of_the_admin_api_starts_no_payment(pool: Pool, system: System) -> None:
    await let_in(pool)
    async with connected(pool) as connection:
        system.token = await api_tokens.add(connection, "ada", "ci", actor="test")
    assert (await system.order()).problem == "unauthenticated"


async def test_calls_without_a_live_token_are_slowed_and_no_others(servers: CheckoutServers, token: str) -> None:
    system = await servers.open(token, failures=Failures(allowed=3, within=60.0, clock=lambda: 1000.0))
    assert [(await system.order()).status for _ in range(5)] == [404] * 5
    system.token = None
    assert [(await system.order()).status for _ in range(4)] == [401, 401, 401, 429]
    system.token = token
    assert (await system.order()).status == 404


async def test_the_document_needs_no_token_and_is_read_so_often_as_strangers_may_ask(
    servers: CheckoutServers, token: str, books: TestBooks
) -> None:
    system = await servers.open(token, failures=Failures(allowed=3, within=60.0, clock=lambda: 1000.0))
    system.token = None
    told = [await system.call("GET", "/openapi.json") for _ in range(4)]
    assert [each.status for each in told] == [200, 200, 200, 429]
    for method, path in (("HEAD", "/openapi.json"), ("PUT", "/openapi.json"), ("GET", "/openapi.json/")):
        assert (await system.call(method, path)).status == 429
    system.token = token
    assert (await system.order()).status == 404


async def test_the_books_keep_a_tokens_digest_alone(pool: Pool, token: str, books: TestBooks) -> None:
    row = await books.row("SELECT * FROM kessai.checkout_clients")
    assert row["token_digest"] == hashlib.sha256(token.encode()).digest()
    assert token not in str(dict(row))
    (client,) = await checkout_clients.everyone(pool)  # type: ignore[arg-type]
    assert (client.name, client.endpoint, client.used_at, client.is_live) == ("shop", ENDPOINT, None, True)


async def test_a_client_has_one_token_until_it_is_revoked(pool: Pool) -> None:
    async with connected(pool) as connection:
        token = await checkout_clients.add(connection, "shop", "tea", lifetime=timedelta(days=1), actor="test")
        assert await checkout_clients.client_of(connection, token) == checkout_clients.Client("shop", "tea")
        with pytest.raises(ClientExists, match="has a token already"):
            await checkout_clients.add(connection, "shop", ENDPOINT, actor="test")
        with pytest.raises(InvalidClientName):
            await checkout_clients.add(connection, "a b", ENDPOINT, actor="test")
        await checkout_clients.revoke(connection, "shop", actor="test")
        with pytest.raises(ClientNotFound):
            await checkout_clients.revoke(connection, "shop", actor="test")
        assert await checkout_clients.client_of(connection, token) is None


async def test_when_postgres_is_away_the_caller_is_told_when_to_come_back(servers: CheckoutServers, token: str) -> None:
    away = await open_pool("postgresql://someone:secret@127.0.0.1:9/x", application="t", size=1, statement_timeout=1.0)
    servers.pool = away
    system = await servers.open(token)
    for told in (await system.put(), await system.start(), await system.order()):
        assert (told.problem, told.status, told.headers["Retry-After"]) == ("unavailable", 503, "5")
        assert b"127.0.0.1" not in told.raw
    assert system.road.asked == []
    away.terminate()
