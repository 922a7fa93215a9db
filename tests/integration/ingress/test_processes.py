"""Several processes on one port, and starts that are refused."""

import asyncio
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from shared.broker.topology import CONFIRMATIONS_QUEUE
from tests.integration.ingress.program import ANY_PORTS, program, send_until_cut
from tests.integration.ingress.wire import SECRET, drain, event, post, status_of
from tests.programs import KESSAI, clean_environment

TWO = (*ANY_PORTS, "--processes", "2")


def children_of(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in text.split()]


async def gone(pids: list[int], within: float = 15.0) -> None:
    async with asyncio.timeout(within):
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            await asyncio.sleep(0.05)


async def test_two_processes_share_a_port_and_drain_together(amqp_url: str, tmp_path: Path) -> None:
    accepted: set[str] = set()
    with program(tmp_path, amqp_url, *TWO) as ingress:
        started = await ingress.told("ingress.started", times=2)
        children = children_of(ingress.process.pid)
        senders = [asyncio.create_task(send_until_cut(started[0]["port"], each, accepted)) for each in range(32)]
        await asyncio.sleep(1.5)
        ingress.process.send_signal(signal.SIGTERM)
        assert await ingress.ended() == 0
        await asyncio.wait_for(asyncio.gather(*senders), 10)
        draining = ingress.lines("ingress.draining")

    assert len({line["port"] for line in started}) == 1
    assert len({line["admin_port"] for line in started}) == 2
    assert all(line["connections"] > 0 for line in draining)
    assert len(draining) == len(children) == 2
    await gone(children)
    queued = {envelope.event_id for envelope in await drain(amqp_url, CONFIRMATIONS_QUEUE)}
    assert len(accepted) > 100
    assert accepted - queued == set()


async def test_a_process_that_dies_is_started_again(amqp_url: str, tmp_path: Path) -> None:
    with program(tmp_path, amqp_url, *TWO) as ingress:
        started = await ingress.told("ingress.started", times=2)
        victim, survivor = children_of(ingress.process.pid)
        os.kill(victim, signal.SIGKILL)
        (died,) = await ingress.told("ingress.process_died")
        await ingress.told("ingress.started", times=3)
        assert survivor in children_of(ingress.process.pid)
        assert await status_of(started[0]["port"], post(event())) == 204
        ingress.process.send_signal(signal.SIGINT)
        assert await ingress.ended() == 0
    assert died["exit_code"] == -signal.SIGKILL


async def test_processes_do_not_outlive_their_parent(amqp_url: str, tmp_path: Path) -> None:
    with program(tmp_path, amqp_url, *TWO) as ingress:
        await ingress.told("ingress.started", times=2)
        children = children_of(ingress.process.pid)
        os.kill(ingress.process.pid, signal.SIGKILL)
        await gone(children)


def refused(*arguments: str, **environment: str) -> str:
    """The one line with which a start is refused."""
    ours = {"KESSAI_AMQP_URL": "amqp://127.0.0.1:1/", "SIGLUME_WEBHOOK_SECRET": SECRET} | environment
    ended = subprocess.run(
        [KESSAI, "ingress", *(arguments or ANY_PORTS)],
        env=clean_environment() | {name: value for name, value in ours.items() if value != "unset"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize("how_many", ["1", "2"])
@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"SIGLUME_WEBHOOK_SECRET": "unset"}, r"no webhook secret: set SIGLUME_WEBHOOK_SECRET"),
        ({"SIGLUME_WEBHOOK_SECRET": ""}, r"blank"),
        ({"SIGLUME_WEBHOOK_SECRET": " \t"}, r"blank"),
        ({"AIOHTTP_NO_EXTENSIONS": "1"}, r"without its C parser"),
        ({"KESSAI_AMQP_URL": "unset"}, r"KESSAI_AMQP_URL is not set"),
        ({"KESSAI_MAX_BODY": "much"}, r"KESSAI_MAX_BODY"),
    ],
)
def test_what_forbids_a_start_is_said_in_one_line(environment: dict[str, str], line: str, how_many: str) -> None:
    said = refused(*ANY_PORTS, "--processes", how_many, **environment)
    assert re.fullmatch(rf"kessai: [^\n]*{line}[^\n]*\n", said), said


@pytest.mark.parametrize("how_many", ["1", "2"])
def test_a_busy_port_is_said_in_one_line(how_many: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused("--port", port, "--admin-port", "0", "--processes", how_many)
    assert said.splitlines()[-1].startswith(f"kessai: cannot listen on 127.0.0.1:{port}: the port is in use")


def test_a_port_that_others_would_share_is_busy_all_the_same() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refused("--port", str(taken.getsockname()[1]), "--admin-port", "0", "--processes", "2")
    assert "the port is in use" in said


@pytest.mark.parametrize("how_many", ["1", "2"])
def test_a_busy_admin_port_is_said_too(how_many: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused("--port", "0", "--admin-port", port, "--processes", how_many)
    assert f"cannot listen on 127.0.0.1:{port}: the port is in use" in said


@pytest.mark.parametrize("how_many", ["1", "2"])
def test_told_to_verify_it_refuses_a_broker_without_the_queues(amqp_url: str, how_many: str) -> None:
    told = {"KESSAI_AMQP_URL": amqp_url, "KESSAI_TOPOLOGY": "verify"}
    said = refused(*ANY_PORTS, "--processes", how_many, **told)
    assert f"queue {CONFIRMATIONS_QUEUE} is missing: run `kessai topology apply`" in said
