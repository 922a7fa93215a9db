"""The load generator reports correctly on the server that it measures."""

import asyncio
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.bench.load import Plan, Result, Run, percentile

SECRET = "whsec_load"
ACCEPTED = b"HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


class Server:
    """Answers each request after `delay` seconds with the next of `answers`, over and over; b"" hangs up."""

    def __init__(self, answers: list[bytes], delay: float) -> None:
        self.answers = answers
        self.delay = delay
        self.bodies: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
            self.bodies.append(await reader.readexactly(length))
            answer = self.answers[len(self.bodies) % len(self.answers)]
            await asyncio.sleep(self.delay)
            if not answer:
                break
            writer.write(answer[:10])
            await asyncio.sleep(0)
            writer.write(answer[10:])
        writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


@contextmanager
def serving(*answers: bytes, delay: float = 0.0) -> Iterator[tuple[int, Server]]:
    """A server in its own thread, and its port."""
    served, loop = Server(list(answers), delay), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(served.serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.sockets[0].getsockname()[1], served
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def carry_out(port: int, **plan: object) -> Result:
    return Run(Plan(port=port, path="/webhooks/siglume", secret=SECRET, first=0, connections=4, **plan)).carry_out()  # type: ignore[arg-type]  # each test names the fields of Plan that it sets


def test_every_answer_is_counted_by_its_status() -> None:
    with serving(ACCEPTED, BUSY) as (port, _):
        result = carry_out(port, count=40)

    assert result.statuses == {"204": 20, "503": 20}
    assert result.refused == {"503": 20}
    assert result.accepted == 20


def test_a_connection_that_is_lost_is_counted_and_replaced() -> None:
    with serving(ACCEPTED, ACCEPTED, b"") as (port, _):
        result = carry_out(port, count=30)

    assert result.statuses == {"204": 20, "broken": 10}


def test_every_request_is_another_event_unless_a_pool_is_asked_for() -> None:
    with serving(ACCEPTED) as (port, served):
        carry_out(port, count=50)
        assert len(set(served.bodies)) == 50
        served.bodies.clear()
        carry_out(port, count=50, pool=10)
        assert len(set(served.bodies)) == 10


def test_an_open_loop_keeps_its_schedule_and_writes_it_down(tmp_path: Path) -> None:
    with serving(ACCEPTED) as (port, _):
        result = carry_out(port, count=100, rate=200.0, schedule=str(tmp_path / "due"))

    due = array("d", (tmp_path / "due").read_bytes())
    assert result.sent == len(due) == 100
    assert due[-1] - due[0] == pytest.approx(99 / 200)


def test_a_slow_server_shows_in_the_latency_of_an_open_loop() -> None:
    # 4 connections, 50 ms an answer: 80 a second at most, so a schedule of 200 a second falls behind.
    with serving(ACCEPTED, delay=0.05) as (port, _):
        result = carry_out(port, count=60, rate=200.0)

    assert result.max_ms > 200


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentile([], 0.99) == 0.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.50) == 2.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.99) == 4.0
