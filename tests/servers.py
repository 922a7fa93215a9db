"""Where a test's own database comes from, its own virtual host on a borrowed broker, and when a role of it listens."""

import asyncio
import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import aiormq
import psycopg
from psycopg import sql

from shared.broker import topology
from shared.broker.topology import Queue, Topology
from shared.ledger import migrate

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the stack makes a folder of its own in it
ROOM = 10 * 2**30
"""Bytes that must be free: two servers, each with up to 4 GiB of write-ahead log, and their data."""


def memory_disk() -> Path | None:
    """A file system in memory, if this machine has one with room.

    A database for every test makes and deletes hundreds of files a second, at which ext4 spends more than half of the
    time of all tests (it searches past the inodes that were deleted in the last seconds).
    """
    has_room = os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free >= ROOM
    return SHARED_MEMORY if has_room else None


class Databases:
    """Clones of one migrated template on one server; the next one is made while a test runs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._template = self._url_of(f"kessai_template_{os.getpid()}")
        self._numbers = count(1)
        self._ahead = ThreadPoolExecutor(max_workers=1)
        self._next: Future[str] | None = None

    def __enter__(self) -> Self:
        self._run("CREATE DATABASE {}", self._template)
        migrate.upgrade(self._template)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ahead.shutdown()
        if self._next is not None and self._next.exception() is None:
            self.drop(self._next.result())
        self.drop(self._template)

    def create(self) -> str:
        ready, self._next = self._next, None
        try:
            url = self._clone() if ready is None else ready.result()
        except psycopg.Error:  # a test broke the server meanwhile
            url = self._clone()
        self._next = self._ahead.submit(self._clone)
        return url

    def _clone(self) -> str:
        url = self._url_of(f"kessai_test_{os.getpid()}_{next(self._numbers)}")
        self._run("CREATE DATABASE {} TEMPLATE {}", url, self._template)
        return url

    def drop(self, url: str) -> None:
        """Connections that a test left open are cut."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", url)

    def _run(self, statement: str, *urls: str) -> None:
        names = [sql.Identifier(urlsplit(url).path.removeprefix("/")) for url in urls]
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*names))

    def _url_of(self, name: str) -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))


class BorrowedVhost:
    """The one virtual host of KESSAI_AMQP_URL, emptied of Kessai's things after each test.

    It must hold none of them before: they would be somebody's payments.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def add(self, name: str) -> str:
        found = [queue.name for queue in topology.KESSAI.queues if asyncio.run(self._has(queue))]
        assert not found, (
            f"KESSAI_AMQP_URL already holds {', '.join(found)}: point it at an empty virtual host, or unset it "
            "to let the tests start a broker of their own"
        )
        return self._url

    def delete(self, name: str) -> None:
        asyncio.run(self._remove(topology.KESSAI))

    async def _has(self, queue: Queue) -> bool:
        connection = await aiormq.connect(self._url)
        try:
            channel = await connection.channel()
            await channel.queue_declare(queue.name, passive=True)
        except aiormq.exceptions.ChannelNotFoundEntity:
            return False
        finally:
            await connection.close()
        return True

    async def _remove(self, whole: Topology) -> None:
        connection = await aiormq.connect(self._url)
        try:
            channel = await connection.channel()
            for queue in whole.queues:
                await channel.queue_delete(queue.name)
            for exchange in whole.exchanges:
                await channel.exchange_delete(exchange.name)
        finally:
            await connection.close()


async def listening(port: int, serving: asyncio.Task[None]) -> None:
    """Return once a role that runs as a task takes connections; what ends it before is raised."""
    async with asyncio.timeout(20):
        while not serving.done():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
        await serving
