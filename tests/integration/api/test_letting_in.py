"""Who is let in to the API: a live token of somebody who may, and nothing else."""

import hashlib
from ipaddress import ip_network

import pytest

from ingress.api.failures import Failures
from ingress.console.access.origins import OriginPolicy
from ingress.console.api.table import OPERATIONS
from shared.ledger import api_tokens, users
from shared.ledger.api_tokens import InvalidLabel, LabelTaken, TokenNotFound
from shared.ledger.database import Pool, connected
from shared.ledger.roles import Role
from shared.ledger.users import UserNotFound
from tests.given import new_order
from tests.integration.api.conftest import Connect
from tests.integration.console.browser import Browser
from tests.integration.ledger.books import TestBooks


async def test_each_may_do_what_their_role_may_and_strangers_nothing(connect: Connect) -> None:
    stranger = await connect()
    scripts = {
        Role.VIEWER: await connect("vera"),
        Role.OPERATOR: await connect("otto"),
        Role.ADMIN: await connect("ada"),
    }
    for operation in OPERATIONS:
        path = operation.path.format(**dict.fromkeys(operation.path_names, "1"))
        assert (await stranger.call(operation.method, path)).problem == "unauthenticated", operation.name
        for role, client in scripts.items():
            told = await client.call(operation.method, path)
            if role.covers(operation.needs):
                assert told.status in {200, 202, 404, 422}, operation.name
            else:
                assert told.problem == "forbidden", operation.name
    needed = {operation.name: operation.needs for operation in OPERATIONS}
    assert all(operation.needs is not Role.VIEWER for operation in OPERATIONS if operation.method == "POST")
    assert (needed["listOrders"], needed["noteOrder"], needed["listTokens"]) == tuple(Role)


async def test_whatever_is_wrong_with_a_token_the_answer_is_the_same(pool: Pool, connect: Connect) -> None:
    client = await connect("vera")
    live = str(client.token)
    refused = []
    for token in (f"{live}x", live.upper(), "", "a b", "ü", "kessai_" + "0" * 43):
        client.token = token
        refused.append(await client.get("/orders"))
    client.token = live
    for change, back in (
        ("UPDATE kessai.api_tokens SET expires_at = now()", "UPDATE kessai.api_tokens SET expires_at = NULL"),
        ("UPDATE kessai.users SET disabled_at = now()", "UPDATE kessai.users SET disabled_at = NULL"),
    ):
        await pool.execute(change)
        refused.append(await client.get("/orders"))
        await pool.execute(back)
        assert (await client.get("/orders")).status == 200
    async with connected(pool) as connection:
        await api_tokens.revoke(connection, "vera", "test-0", actor="test")
    refused.append(await client.get("/orders"))
    assert {(told.status, told.raw) for told in refused} == {(401, refused[0].raw)}
    assert refused[0].headers["WWW-Authenticate"] == 'Bearer realm="kessai"'


async def test_a_role_counts_from_the_next_call_on(pool: Pool, connect: Connect) -> None:
    client = await connect("vera")
    assert (await client.post("/orders/none/cancel")).status == 403
    async with connected(pool) as connection:
        await users.set_role(connection, "vera", Role.OPERATOR, actor="test")
    assert (await client.post("/orders/none/cancel")).status == 404


async def test_a_session_opens_no_call_and_a_token_no_page(pool: Pool, connect: Connect) -> None:
    """Nor does a header of a proxy that is believed elsewhere."""
    client = await connect("ada", origins=OriginPolicy(proxies=(ip_network("127.0.0.0/8"),)))
    browser: Browser = client._browser
    assert (await browser.log_in("ada")).status == 303
    assert (await browser.get("/orders")).status == 200
    assert (await browser.get("/api/v1/orders")).status == 401
    proxied = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "kessai-admin"}
    assert (await browser.get("/api/v1/orders", headers=proxied)).status == 401
    await browser.act("/logout")
    with_token = await browser.get("/orders", headers={"Authorization": f"Bearer {client.token}"})
    assert (with_token.status, with_token.headers["Location"]) == (303, "/login?next=%2Forders")


async def test_calls_without_a_live_token_are_slowed_and_no_others(connect: Connect) -> None:
    now = [1000.0]
    failures = Failures(allowed=3, within=60.0, clock=lambda: now[0])
    vera, stranger = await connect("vera", failures=failures), await connect()
    for _ in range(6):
        assert (await vera.get("/orders")).status == 200
    assert [(await stranger.get("/orders")).status for _ in range(4)] == [401, 401, 401, 429]
    refused = await stranger.get("/orders")
    assert (refused.problem, refused.headers["Retry-After"]) == ("too-many-failures", "60")
    assert (await vera.get("/orders")).status == 200, "behind one proxy everybody has the address of the strangers"
    now[0] += 60
    assert (await stranger.get("/orders")).status == 401


async def test_what_another_site_sends_does_nothing(books: TestBooks, connect: Connect) -> None:
    await books.register(new_order())
    client = await connect("otto")
    for header, value in (("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")):
        refused = await client.call("POST", "/orders/order-1/cancel", headers={header: value})
        assert refused.problem == "cross-site", (header, value)
    elsewhere = await client.call("GET", "/orders", headers={"Host": "evil.example"})
    assert elsewhere.problem == "misdirected"
    assert (await books.order()).state == "pending"
    own = {"Origin": client._browser.origin}
    assert (await client.call("POST", "/orders/order-1/cancel", headers=own)).status == 200


async def test_the_last_use_is_known_to_the_minute_and_costs_a_write_a_minute(pool: Pool, connect: Connect) -> None:
    client = await connect("vera")
    used = "SELECT used_at FROM kessai.api_tokens"
    assert await pool.fetchval(used) is None
    await client.get("/orders")
    first = await pool.fetchval(used)
    await client.get("/orders")
    assert await pool.fetchval(used) == first
    await pool.execute("UPDATE kessai.api_tokens SET used_at = now() - interval '61 seconds'")
    await client.get("/orders")
    assert await pool.fetchval(used) > first


async def test_the_books_hold_only_a_digest_of_a_token(pool: Pool, connect: Connect) -> None:
    client = await connect("vera")
    row = await pool.fetchrow("SELECT token_digest, api_tokens::text AS line FROM kessai.api_tokens")
    assert row is not None
    assert row["token_digest"] == hashlib.sha256(str(client.token).encode()).digest()
    audited = await pool.fetchval("SELECT string_agg(audit::text, ' ') FROM kessai.audit")
    assert str(client.token) not in row["line"] + audited
    client.token = row["token_digest"].hex()
    assert (await client.get("/orders")).status == 401


async def test_tokens_are_given_out_and_taken_back_on_record(pool: Pool) -> None:
    async with connected(pool) as connection:
        await api_tokens.add(connection, "otto", "ci", actor="cli:ann")
        with pytest.raises(LabelTaken):
            await api_tokens.add(connection, "otto", "ci", actor="cli:ann")
        with pytest.raises(UserNotFound):
            await api_tokens.add(connection, "nobody", "ci", actor="cli:ann")
        with pytest.raises(InvalidLabel):
            await api_tokens.add(connection, "otto", "c/i", actor="cli:ann")
        await api_tokens.revoke(connection, "otto", "ci", actor="cli:ann")
        with pytest.raises(TokenNotFound):
            await api_tokens.revoke(connection, "otto", "ci", actor="cli:ann")
        assert await api_tokens.everyone(connection) == []
    rows = await pool.fetch(
        "SELECT actor, action, subject FROM kessai.audit WHERE action LIKE 'token.%' ORDER BY audit_id"
    )
    assert [tuple(row) for row in rows] == [
        ("cli:ann", "token.added", "token:otto/ci"),
        ("cli:ann", "token.revoked", "token:otto/ci"),
    ]
