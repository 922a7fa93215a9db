"""A whole Kessai beside each test that asks for it: one ingress, one process with every worker role."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.vhosts import Vhosts
from tests.conftest import WEBHOOK_SECRET
from tests.programs import Kessai, Ran
from tests.servers import BorrowedVhost, Databases

WITHIN = 20.0
"""Seconds for a webhook to get from the door into the books."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`kessai` with an ingress and workers behind it."""

    kessai: Kessai
    url: str

    def send(self, *arguments: str, stdin: str | None = None) -> Ran:
        return self.kessai("send", *arguments, "--url", self.url, stdin=stdin)

    def sent(self, *arguments: str) -> str:
        """Send one event that is accepted; its id."""
        ran = self.send(*arguments, "--json")
        assert ran.returncode == 0, ran.stderr
        return str(ran.object()["event_id"])

    def one(self, *arguments: str) -> dict[str, Any]:
        """What a read says of one thing, once it is there."""
        return self._once(lambda: self.kessai(*arguments, "--json"), lambda ran: ran.returncode == 0).object()

    def listed(self, *arguments: str, **wanted: object) -> dict[str, Any]:
        """The newest row of a list that has these values, once there is one."""

        def rows(ran: Ran) -> list[dict[str, Any]]:
            return [row for row in ran.array() if row.items() >= wanted.items()]

        return rows(self._once(lambda: self.kessai(*arguments, "--json", "--limit", "500"), lambda ran: rows(ran)))[0]

    def event(self, event_id: str) -> dict[str, Any]:
        """The event, once it is in the books."""
        return self.one("events", "show", event_id)

    def await_deliveries(self, event_id: str, count: int) -> None:
        """Return once the books have counted so many deliveries of the event."""
        shown = ("events", "show", event_id, "--json")
        self._once(lambda: self.kessai(*shown), lambda ran: ran.object()["deliveries"] == count)

    @staticmethod
    def _once(look: Callable[[], Ran], is_due: Callable[[Ran], object]) -> Ran:
        deadline = time.monotonic() + WITHIN
        while not is_due(ran := look()):
            assert time.monotonic() < deadline, f"after {WITHIN:.0f} s still {ran.stdout or ran.stderr}"
            time.sleep(0.1)
        return ran


@pytest.fixture(scope="module")
def pipeline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Shared by the tests of a module, which know their own events by their ids."""
    databases: Databases = request.getfixturevalue(_whose("KESSAI_DATABASE_URL", "databases"))
    vhosts: Vhosts | BorrowedVhost = request.getfixturevalue(_whose("KESSAI_AMQP_URL", "vhosts"))
    database_url, name = databases.create(), f"pipeline-{os.getpid()}"
    environment = {
        "KESSAI_DATABASE_URL": database_url,
        "KESSAI_AMQP_URL": vhosts.add(name),
        "SIGLUME_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    with running(Kessai(environment, tmp_path_factory.mktemp("pipeline"))) as pipeline:
        yield pipeline
    databases.drop(database_url)
    vhosts.delete(name)


def _whose(variable: str, what: str) -> str:
    return f"given_{what}" if os.environ.get(variable) else f"private_{what}"


@contextmanager
def running(kessai: Kessai) -> Iterator[Pipeline]:
    assert kessai("topology", "apply").returncode == 0
    (port,) = free_ports(1)
    with (
        kessai.role("ingress", "--host", LOOPBACK, "--port", str(port)),
        kessai.role("worker", "all"),
    ):
        yield Pipeline(kessai, f"http://{LOOPBACK}:{port}/webhooks/siglume")


def assert_one_line(ran: Ran, *, code: int = 1, says: str = "") -> None:
    """A failure as a script and a person want it: nothing on stdout, one line on stderr."""
    assert ran.returncode == code, (ran.stdout, ran.stderr)
    assert ran.stdout == ""
    lines = ran.stderr.splitlines()
    assert len(lines) == 1, ran.stderr
    assert lines[0].startswith("kessai: "), ran.stderr
    assert says in lines[0], ran.stderr
    assert "Traceback" not in ran.stderr
