"""Real servers for every test: one private stack a session, a database and a virtual host of its own for each test.

A database is cloned from a template that is migrated once; a virtual host is made by an Erlang shell that stays open:
together some tenths of a second. Servers named by KESSAI_DATABASE_URL and KESSAI_AMQP_URL are used instead of the
private ones, except by tests that ask for `stack` in order to break it.
"""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from deploy.local.stack import Stack
from deploy.local.temporary import missing_services, temporary_stack
from deploy.local.vhosts import Vhosts
from tests.programs import Kessai
from tests.servers import BorrowedVhost, Databases, memory_disk

WEBHOOK_SECRET = "whsec_tests"
_numbers = count(1)


@pytest.fixture(scope="session")
def private_stack() -> Iterator[Stack]:
    """Of this session alone; at first it runs what the environment does not name."""
    with temporary_stack(missing_services(), within=memory_disk()) as stack:
        yield stack


@pytest.fixture
def stack(private_stack: Stack) -> Iterator[Stack]:
    """Servers that a test may kill and restart. They run when it begins, and again after it."""
    private_stack.up()
    yield private_stack
    private_stack.up()


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of this test's own at the newest revision."""
    databases: Databases = request.getfixturevalue(_source(request, "KESSAI_DATABASE_URL", "databases"))
    url = databases.create()
    yield url
    _heal(request)
    databases.drop(url)


@pytest.fixture
def amqp_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A virtual host of this test's own with nothing in it.

    One whose broker was broken is left behind: RabbitMQ 3.10 loses the supervisor of its dead-letter workers, and with
    it every further queue, when queues are deleted while it recovers.
    """
    vhosts: Vhosts | BorrowedVhost = request.getfixturevalue(_source(request, "KESSAI_AMQP_URL", "vhosts"))
    name = f"test-{os.getpid()}-{next(_numbers)}"
    yield vhosts.add(name)
    if "stack" not in request.fixturenames:
        vhosts.delete(name)


@pytest.fixture
def kessai(database_url: str, amqp_url: str, tmp_path: Path) -> Kessai:
    """Runs `kessai` with a database, a virtual host and a webhook secret of this test's own."""
    return Kessai(
        {
            "KESSAI_DATABASE_URL": database_url,
            "KESSAI_AMQP_URL": amqp_url,
            "SIGLUME_WEBHOOK_SECRET": WEBHOOK_SECRET,
        },
        tmp_path,
    )


@pytest.fixture(scope="session")
def private_databases(private_stack: Stack) -> Iterator[Databases]:
    private_stack.up(["postgres"])
    with Databases(private_stack.environment()["KESSAI_DATABASE_URL"]) as databases:
        yield databases


@pytest.fixture(scope="session")
def given_databases() -> Iterator[Databases]:
    with Databases(os.environ["KESSAI_DATABASE_URL"]) as databases:
        yield databases


@pytest.fixture(scope="session")
def private_vhosts(private_stack: Stack) -> Iterator[Vhosts]:
    private_stack.up(["rabbitmq"])
    with Vhosts(private_stack) as vhosts:
        yield vhosts


@pytest.fixture(scope="session")
def given_vhosts() -> BorrowedVhost:
    return BorrowedVhost(os.environ["KESSAI_AMQP_URL"])


def _source(request: pytest.FixtureRequest, variable: str, what: str) -> str:
    """A test that breaks servers may only have the private ones."""
    given = os.environ.get(variable) and "stack" not in request.fixturenames
    return f"given_{what}" if given else f"private_{what}"


def _heal(request: pytest.FixtureRequest) -> None:
    """A test that broke its servers may leave them broken; cleaning up after it needs them."""
    if "stack" in request.fixturenames:
        request.getfixturevalue("private_stack").up()
