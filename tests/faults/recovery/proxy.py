"""What passes between a worker and RabbitMQ? A stretch of wire that counts deliveries and can lose acknowledgements."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from struct import Struct
from urllib.parse import urlsplit, urlunsplit

from deploy.local.ports import LOOPBACK

GREETING = b"AMQP\x00\x00\x09\x01"
FRAME_HEAD = Struct(">BHL")
"""Type, channel, size of the payload, which one more byte ends."""
METHOD = Struct(">HH")
IS_METHOD, DELIVER, ACK = 1, (60, 60), (60, 80)


class Proxy:
    """Connections through it live as long as both ends do."""

    def __init__(self, amqp_url: str) -> None:
        parts = urlsplit(amqp_url)
        self._credentials, _, _ = parts.netloc.rpartition("@")
        self._parts = parts
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._port = 0
        self.loses_acks = False
        self.lost_acks = 0
        self.delivered = 0
        self.redelivered = 0
        """Of those delivered, as RabbitMQ marks them."""

    @property
    def url(self) -> str:
        """The broker's, by way of here."""
        return urlunsplit(self._parts._replace(netloc=f"{self._credentials}@{LOOPBACK}:{self._port}"))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task, writer in self._open.items():
                writer.transport.abort()
                await task

    async def _serve(self, worker: asyncio.StreamReader, to_worker: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = to_worker
        try:
            broker, to_broker = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        except OSError:
            to_worker.close()  # as if nobody listened
        else:
            there = asyncio.create_task(_pass_on(worker, to_broker, self._from_worker()))
            back = asyncio.create_task(_pass_on(broker, to_worker, self._from_broker()))
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            to_broker.transport.abort()
            to_worker.transport.abort()
            await asyncio.wait((there, back))

    def _from_worker(self) -> Callable[[bytes], bytes]:
        cut = Frames(len(GREETING))

        def sieve(data: bytes) -> bytes:
            return b"".join(piece for piece in cut(data) if not self._is_lost(piece))

        return sieve

    def _is_lost(self, frame: bytes) -> bool:
        lost = self.loses_acks and method_of(frame) == ACK
        self.lost_acks += lost
        return lost

    def _from_broker(self) -> Callable[[bytes], bytes]:
        cut = Frames(0)

        def count(data: bytes) -> bytes:
            for frame in cut(data):
                if method_of(frame) == DELIVER:
                    self.delivered += 1
                    self.redelivered += is_redelivered(frame)
            return data

        return count


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, through: Callable[[bytes], bytes]) -> None:
    try:
        while data := await source.read(65536):
            sink.write(through(data))
            await sink.drain()
    except OSError:
        return


class Frames:
    """Cuts one direction into whole frames; what comes before the first one is a piece of its own."""

    def __init__(self, greeting: int) -> None:
        self._greeting = greeting
        self._rest = b""

    def __call__(self, data: bytes) -> Iterator[bytes]:
        self._rest += data
        if self._greeting and len(self._rest) >= self._greeting:
            yield self._rest[: self._greeting]
            self._rest, self._greeting = self._rest[self._greeting :], 0
        while not self._greeting and len(self._rest) >= FRAME_HEAD.size:
            _, _, size = FRAME_HEAD.unpack_from(self._rest)
            end = FRAME_HEAD.size + size + 1
            if len(self._rest) < end:
                return
            frame, self._rest = self._rest[:end], self._rest[end:]
            yield frame


def method_of(frame: bytes) -> tuple[int, int] | None:
    """Class and method, or None for anything else."""
    if frame[:1] != bytes([IS_METHOD]):
        return None
    class_, method = METHOD.unpack_from(frame, FRAME_HEAD.size)
    return class_, method


def is_redelivered(deliver: bytes) -> bool:
    """A consumer tag with its length, a delivery tag of eight bytes, then the flag."""
    tag_at = FRAME_HEAD.size + METHOD.size
    return bool(deliver[tag_at + 1 + deliver[tag_at] + 8] & 1)
