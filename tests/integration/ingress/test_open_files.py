"""The ingress takes as many connections as its open files allow, and stays reachable when they are all in use."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.integration.ingress.program import ANY_PORTS, program_of
from tests.integration.ingress.wire import event, post, read_response
from tests.programs import KESSAI

WANTED = 600


@pytest.mark.parametrize(("hard", "expected"), [(4096, WANTED), (512, 256)])
async def test_silent_connections_never_take_the_files_that_health_checks_need(
    amqp_url: str, tmp_path: Path, hard: int, expected: int
) -> None:
    shell: tuple[str, ...] = ("sh", "-c", f'ulimit -Sn 200 && ulimit -Hn {hard} && exec "$@"', "sh")
    settings = {"KESSAI_MAX_CONNECTIONS": str(WANTED), "KESSAI_BODY_DEADLINE": "60"}
    async with AsyncExitStack() as stack:
        ingress = stack.enter_context(program_of((*shell, KESSAI, "ingress", *ANY_PORTS), tmp_path, amqp_url, settings))
        (started,) = await ingress.told("ingress.started")
        warned = [(line["level"], line["max_connections"]) for line in ingress.lines("ingress.fewer_connections")]
        assert warned == ([] if expected == WANTED else [("warning", expected)])
        writers = [(await asyncio.open_connection("127.0.0.1", started["port"]))[1] for _ in range(expected - 1)]
        for writer in writers:
            stack.callback(writer.close)
        assert await health(started["admin_port"]) == [200, 200]
        reader, writer = await asyncio.open_connection("127.0.0.1", started["port"])
        stack.callback(writer.close)
        writer.write(post(event()))
        answer = await read_response(reader)
        assert (answer is not None, answer and answer.status) == (True, 204)
        beyond, writer = await asyncio.open_connection("127.0.0.1", started["port"])
        stack.callback(writer.close)
        assert (await beyond.read()).startswith(b"HTTP/1.1 503 ")
        assert await health(started["admin_port"]) == [200, 200]


async def health(admin_port: int) -> list[int]:
    async with aiohttp.ClientSession() as session:
        statuses = []
        for path in ("livez", "readyz"):
            async with session.get(f"http://127.0.0.1:{admin_port}/{path}") as answer:
                statuses.append(answer.status)
    return statuses
