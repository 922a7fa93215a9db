"""Probes and metrics over a real socket."""

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Counter

from shared.observe.admin import READY, AdminServer, Readiness
from shared.observe.listening import CannotListen


async def get(server: AdminServer, path: str) -> tuple[int, str]:
    def read() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(read)


def admin(*, ready: Callable[[], Readiness] = lambda: READY, live: Callable[[], bool] = lambda: True) -> AdminServer:
    return AdminServer("127.0.0.1", 0, registry=CollectorRegistry(), ready=ready, live=live)


async def test_a_ready_process_says_so() -> None:
    async with admin() as server:
        assert await get(server, "/readyz") == (200, '{"ready":true}')
        assert await get(server, "/livez") == (200, '{"live":true}')


async def test_a_failing_check_is_503_and_named() -> None:
    async with admin(ready=lambda: Readiness(failing={"postgres": "cannot connect"})) as server:
        status, body = await get(server, "/readyz")
    assert status == 503
    assert json.loads(body) == {"ready": False, "failing": {"postgres": "cannot connect"}}


async def test_a_degraded_check_is_told_and_leaves_the_process_ready() -> None:
    async with admin(ready=lambda: Readiness(degraded={"broker": "away"})) as server:
        status, body = await get(server, "/readyz")
    assert status == 200
    assert json.loads(body) == {"ready": True, "degraded": {"broker": "away"}}


async def test_a_process_that_is_not_well_is_not_live() -> None:
    async with admin(live=lambda: False) as server:
        assert await get(server, "/livez") == (503, '{"live":false}')


async def test_metrics_are_those_of_the_given_registry() -> None:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    async with AdminServer("127.0.0.1", 0, registry=registry) as server:
        status, text = await get(server, "/metrics")
    assert status == 200
    assert "things_total 3.0" in text


async def test_a_busy_port_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: the port is in use"):
            async with AdminServer("127.0.0.1", port, registry=CollectorRegistry()):
                pass


async def test_a_host_that_is_none_is_one_clear_error() -> None:
    with pytest.raises(CannotListen, match="does not resolve"):
        async with AdminServer("no.such.host.invalid", 0, registry=CollectorRegistry()):
            pass
