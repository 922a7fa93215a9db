"""Which programs run, and what did each say in all its lives?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import orjson

from deploy.local.ports import LOOPBACK
from tests.programs import Kessai, Role

READY_WITHIN = 90.0
"""Seconds; the machine may be busy."""


class Program:
    """A role that may be killed and started again."""

    def __init__(self, kessai: Kessai, *arguments: str, amqp_url: str | None = None) -> None:
        """`amqp_url`: another way to the broker than everybody's."""
        self._kessai = kessai
        self._arguments = arguments
        self.amqp_url = amqp_url
        self._life = ExitStack()
        self._logs: list[Path] = []
        self.name = " ".join(arguments[:2])
        self.role: Role | None = None
        """While it runs."""

    async def start(self) -> None:
        """Returns when it says that it is ready."""
        environment = {} if self.amqp_url is None else {"KESSAI_AMQP_URL": self.amqp_url}
        running = self._kessai.role(*self._arguments, environment=environment, ready_within=READY_WITHIN)
        self.role = await asyncio.to_thread(self._life.enter_context, running)
        self._logs.append(self.role.log)

    async def kill(self) -> None:
        """SIGKILL."""
        assert self.role is not None
        self.role.kill()
        self._forget()

    async def stop(self) -> None:
        """SIGTERM; it must end well."""
        if self.role is not None:
            code = await asyncio.to_thread(self.role.terminate)
            assert code == 0, f"{self.name} ended with {code}:\n{self.role.output()}"
            self._forget()

    def end(self) -> None:
        """By whatever it takes."""
        if self.role is not None:
            if self.role.process.poll() is None:
                self.role.kill()
            self._forget()

    def _forget(self) -> None:
        self._life.close()
        self.role = None

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """What it has logged, of all its lives."""
        found: list[dict[str, Any]] = []
        for log in self._logs:
            text = log.read_bytes()
            found += map(orjson.loads, text[: text.rfind(b"\n") + 1].splitlines())
        return [line for line in found if event in (None, line["event"])]

    async def told(self, event: str, *, times: int = 1, within: float = 60.0) -> None:
        """Return when it has logged that so many times."""
        async with asyncio.timeout(within):
            while len(self.lines(event)) < times:
                await asyncio.sleep(0.01)

    def troubles(self) -> list[dict[str, Any]]:
        """Errors of ours; libraries call a server that is away an error, too."""
        return [
            line for line in self.lines() if line["level"] in ("error", "critical") and line["event"] != "library.log"
        ]


@dataclass(slots=True)
class Pulse:
    """Whether programs said that they live, each time they were asked."""

    asked: int = 0
    silent: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def felt(self, *programs: Program) -> AsyncIterator["Pulse"]:
        """Meanwhile, some five times a second."""
        task = asyncio.create_task(self._feel(programs))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert self.asked, "nobody was asked"

    async def _feel(self, programs: tuple[Program, ...]) -> None:
        while True:
            for program in programs:
                if (answer := await asyncio.to_thread(_livez, program)) != 200:
                    self.silent.append(f"{program.name}: {answer}")
                self.asked += 1
            await asyncio.sleep(0.2)


def _livez(program: Program) -> int | str:
    assert program.role is not None
    try:
        with urlopen(f"http://{LOOPBACK}:{program.role.admin_port}/livez", timeout=5) as answer:
            return int(answer.status)
    except (OSError, URLError) as error:
        return str(error)
