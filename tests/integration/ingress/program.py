"""`kessai ingress` as a program of its own: its log, its signals, its end."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.integration.ingress.wire import SECRET, event, post, read_response
from tests.programs import KESSAI, clean_environment

ANY_PORTS = ("--port", "0", "--admin-port", "0")


@dataclass(slots=True)
class Program:
    process: subprocess.Popen[bytes]
    log: Path

    def lines(self, named: str) -> list[dict[str, Any]]:
        """The log lines of that event so far."""
        text = self.log.read_bytes()
        whole = text[: text.rfind(b"\n") + 1].splitlines()
        return [line for line in map(orjson.loads, whole) if line["event"] == named]

    async def told(self, named: str, *, times: int = 1, within: float = 20.0) -> list[dict[str, Any]]:
        """Those lines, once there are so many."""
        async with asyncio.timeout(within):
            while len(found := self.lines(named)) < times:
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.02)
        return found

    async def ended(self, within: float = 20.0) -> int:
        async with asyncio.timeout(within):
            while (code := self.process.poll()) is None:
                await asyncio.sleep(0.02)
        return code


def program(folder: Path, amqp_url: str, *arguments: str, **environment: str | None) -> AbstractContextManager[Program]:
    """A `kessai ingress` that is killed at the end if it still runs. None unsets what it is usually given."""
    return program_of([KESSAI, "ingress", *(arguments or ANY_PORTS)], folder, amqp_url, environment)


@contextmanager
def program_of(
    command: Sequence[str | Path], folder: Path, amqp_url: str, environment: Mapping[str, str | None]
) -> Iterator[Program]:
    """The same by a command line of the caller's own."""
    log = folder / "ingress.log"
    ours = {"KESSAI_AMQP_URL": amqp_url, "SIGLUME_WEBHOOK_SECRET": SECRET, **environment}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=clean_environment() | {name: value for name, value in ours.items() if value is not None},
            start_new_session=True,
        )
    try:
        yield Program(process, log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


async def send_until_cut(port: int, sender: int, accepted: set[str]) -> None:
    """One event after the other on one connection until it ends; the ids of those answered 204 go to `accepted`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for number in range(100_000):
            event_id = f"evt_{sender}_{number}"
            writer.write(post(event(event_id)))
            answer = await read_response(reader)
            if answer is None:
                return
            if answer.status == 204:
                accepted.add(event_id)
    except ConnectionError:
        return
    finally:
        writer.close()
