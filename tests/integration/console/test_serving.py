"""`kessai console` as it runs: it starts without its servers and says so, and ends in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from deploy.local.ports import free_ports
from ingress.console.app import serve
from ingress.console.queues import Queues
from ingress.serving import ListenAddress
from shared.broker import topology
from shared.settings import Settings
from tests.programs import Kessai


@asynccontextmanager
async def serving(**environment: str) -> AsyncIterator[tuple[str, str]]:
    """Addresses of the pages and of the admin port."""
    port, admin_port = free_ports(2)
    stop = asyncio.Event()
    running = asyncio.create_task(
        serve(Settings.from_env(environment), ListenAddress(port=port, admin_port=admin_port), stop=stop)
    )
    try:
        await asyncio.sleep(0)
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}"
    finally:
        stop.set()
        await running


async def get(address: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        while True:
            try:
                async with session.get(address) as answer:
                    return answer.status, await answer.text()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


async def test_it_starts_without_postgres_and_its_pages_say_so(database_url: str) -> None:
    away = database_url.replace("127.0.0.1", "127.0.0.2").rpartition("@")[0] + "@127.0.0.1:1/kessai"
    async with serving(KESSAI_DATABASE_URL=away) as (pages, admin):
        status, text = await get(f"{pages}/login")
        assert (status, "Postgres cannot be reached" in text) == (503, True)
        assert "127.0.0.1" not in text  # a stranger learns no address
        status, text = await get(f"{admin}/readyz")
        assert (status, "postgres" in text) == (200, True)
        assert (await get(f"{admin}/livez"))[0] == 200
        assert 'kessai_console_requests_total{page="/login",status="503"} 1.0' in (await get(f"{admin}/metrics"))[1]


async def test_behind_a_proxy_that_ends_tls_cookies_are_secure_and_other_hosts_are_refused(database_url: str) -> None:
    """As documented: X-Forwarded-Proto of such a proxy counts for nothing, the origin for everything."""
    behind = {"KESSAI_CONSOLE_TLS_PROXIES": "127.0.0.1", "KESSAI_CONSOLE_ORIGIN": "https://kessai.example.com"}
    async with serving(KESSAI_DATABASE_URL=database_url, **behind) as (pages, _), aiohttp.ClientSession() as session:
        await get(f"{pages}/login")
        async with session.get(f"{pages}/login", headers={"Host": "kessai.example.com"}) as answer:
            (cookie,) = answer.headers.getall("Set-Cookie")
            assert (answer.status, cookie.startswith("__Host-"), "Secure" in cookie) == (200, True, True)
        async with session.get(f"{pages}/login", headers={"Host": "evil.example.com"}) as answer:
            assert answer.status == 421


async def test_an_act_while_postgres_is_away_leads_back_to_its_page(database_url: str) -> None:
    """Nobody knows whether it was done; a GET of its own address would only be refused."""
    away = database_url.rpartition("@")[0] + "@127.0.0.1:1/kessai"
    async with serving(KESSAI_DATABASE_URL=away) as (pages, _):
        await get(f"{pages}/login")
        for referer, leads_back in (
            (f"{pages}/orders/show?id=a%20b", True),
            ("https://evil.example/orders/show?id=a%20b", False),
            (f"{pages}//evil.example", False),
            ("[", False),
        ):
            async with (
                aiohttp.ClientSession(cookies={"kessai-session": "x"}) as session,
                session.post(f"{pages}/orders/cancel", headers={"Referer": referer}) as answer,
            ):
                text = await answer.text()
            assert (answer.status, "before you try again" in text) == (503, True)
            assert ('href="/orders/show?id=a%20b">Back to the page</a>' in text) == leads_back
            assert "evil.example" not in text
            assert ("/orders/cancel" in text, "None" in text) == (False, False)


async def test_depths_are_told_and_their_absence_too(amqp_url: str) -> None:
    queues = Queues(amqp_url, clock=lambda: 0.0)
    assert {each.depth for each in (await queues.depths()).queues} == {None}
    await topology.declare(amqp_url)
    assert {each.depth for each in (await queues.depths()).queues} == {None}  # remembered
    found = await Queues(amqp_url).depths()
    assert [each.depth.messages for each in found.queues if each.depth] == [0] * len(found.queues)
    assert (await Queues("amqp://guest:guest@127.0.0.1:1").depths()).away_because is not None


def test_the_program_serves_users_that_the_command_line_lets_in(kessai: Kessai) -> None:
    added = kessai("users", "add", "ada", "--role", "admin", "--password-stdin", stdin="a long enough password\n")
    assert (added.returncode, added.stdout) == (0, "ada may log in as admin\n")
    (port,) = free_ports(1)
    with kessai.role("console", "--port", str(port)) as role:
        status, text = asyncio.run(get(f"http://127.0.0.1:{port}/login"))
        assert (status, "Log in" in text) == (200, True)
        assert role.terminate() == 0
    assert "console.stopped" in role.output()


def test_users_are_managed_by_the_command_line_without_a_password_on_it(kessai: Kessai) -> None:
    password = "a long enough password\n"
    assert kessai("users", "add", "vera", "--password-stdin", stdin=password).returncode == 0
    for arguments, stdin, says in (
        (("add", "vera", "--password-stdin"), password, "exists already"),
        (("add", "eve", "--password-stdin"), "short\n", "12 to 1024 characters"),
        (("add", "<b>", "--password-stdin"), password, "no name for a user"),
        (("add", "eve"), None, "--password-stdin"),
        (("set-role", "nobody", "admin"), None, "no user 'nobody'"),
        (("set-password", "nobody", "--password-stdin"), password, "no user 'nobody'"),
        (("disable", "nobody"), None, "no user 'nobody'"),
    ):
        refused = kessai("users", *arguments, stdin=stdin)
        assert (refused.returncode, says in refused.stderr, refused.stderr.count("\n")) == (1, True, 1), refused
    assert kessai("users", "set-role", "vera", "operator").stdout == "vera is operator, was viewer\n"
    assert kessai("users", "disable", "vera").returncode == 0
    (vera,) = kessai("users", "list", "--json").array()
    assert (vera["name"], vera["role"], vera["disabled_at"] is not None) == ("vera", "operator", True)
    assert "password" not in vera
