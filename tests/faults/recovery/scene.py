"""Where things break: a shop with its orders, its programs, a merchant who listens, and the platform that sends."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiormq
import orjson
from pamqp.commands import Basic

from deploy.local.ports import free_ports
from shared.broker import topology
from tests.faults.recovery.history import Books, read_books, violations
from tests.faults.recovery.load import DEAD_LETTER, Load
from tests.faults.recovery.platform import Platform
from tests.faults.recovery.programs import Program
from tests.programs import Kessai

MERCHANT = "merchant"
"""Queue of one who subscribed to every fact."""
RATE = 300.0
"""Webhooks a second: the load lasts longer than the fault takes to begin."""


class Scene:
    def __init__(self, kessai: Kessai, *, database_url: str, amqp_url: str, load: Load) -> None:
        (port,) = free_ports(1)
        self.amqp_url = amqp_url
        self.load = load
        self._database_url = database_url
        self._kessai = kessai
        self.ingress = Program(kessai, "ingress", "--port", str(port))
        self.confirmations = Program(kessai, "worker", "confirmations")
        self.dead_letters = Program(kessai, "worker", "dead-letters")
        self.outbox = Program(kessai, "worker", "outbox")
        self.workers = (self.confirmations, self.dead_letters, self.outbox)
        self.platform = Platform(port, load.webhooks, rate=RATE)

    @property
    def programs(self) -> tuple[Program, ...]:
        return self.ingress, *self.workers

    async def prepare(self) -> None:
        """The merchant registers orders and subscribes to facts."""
        await topology.declare(self.amqp_url)
        await self._subscribe()
        imported = await asyncio.to_thread(
            self._kessai, "orders", "import", "-", "--format", "csv", stdin=self.load.orders_file()
        )
        assert imported.returncode == 0, imported.stderr

    async def open(self) -> None:
        await asyncio.gather(*(program.start() for program in self.programs))

    def end(self) -> None:
        for program in self.programs:
            program.end()

    def books(self) -> Books:
        return read_books(self._database_url)

    async def settled(self, *, within: float = 90.0) -> None:
        """Wait until the books hold what was acknowledged and have told it; what is missing after that is lost."""
        acknowledged = {webhook.event_id for webhook in self.platform.acknowledged if webhook.event_id}
        letters = sum(n for webhook, n in self.platform.acknowledged.items() if webhook.fate == DEAD_LETTER)
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            books = await asyncio.to_thread(self.books)
            if acknowledged <= books.events.keys() and books.letters.total() >= letters and not books.waiting_facts:
                return
            await asyncio.sleep(0.2)

    async def check(self) -> None:
        """After everything is settled and every program has ended: nothing lost, nothing twice, nothing left over."""
        await self.settled()
        await asyncio.gather(*(program.stop() for program in self.programs))
        books = await asyncio.to_thread(self.books)
        assert violations(self.load, self.platform.acknowledged, books) == []
        assert self.platform.acknowledged.total() == len(self.load.webhooks)
        assert await self._left_over() == {}
        heard = await self._heard()
        assert {name: times for name, times in books.facts.items() if name not in heard} == {}
        assert heard.keys() - books.facts.keys() == set()
        assert [line for program in self.programs for line in program.troubles()] == []

    async def _subscribe(self) -> None:
        async with _channel(self.amqp_url) as channel:
            await channel.queue_declare(MERCHANT, durable=True, arguments={"x-queue-type": "quorum"})
            await channel.queue_bind(MERCHANT, topology.ORDERS, "#")

    async def _left_over(self) -> dict[str, int]:
        """Messages in queues that are to be empty, now that nobody has any in hand."""
        reviews = {f"{topology.REVIEWS}.{queue}" for queue in topology.REVIEW_QUEUES}
        names = [queue.name for queue in topology.KESSAI.queues if queue.name not in reviews]
        await asyncio.sleep(0.5)  # what a program returned when it ended may be on its way
        async with _channel(self.amqp_url) as channel:
            depths = {name: (await channel.queue_declare(name, passive=True)).message_count or 0 for name in names}
        return {name: depth for name, depth in depths.items() if depth}

    async def _heard(self) -> Counter[tuple[str, str]]:
        """Name and subject of the facts that the merchant got, each at least once."""
        heard: Counter[tuple[str, str]] = Counter()
        async with _channel(self.amqp_url) as channel:
            while isinstance((got := await channel.basic_get(MERCHANT, no_ack=True)).delivery, Basic.GetOk):
                fact = orjson.loads(got.body)
                subject = fact.get("order_id") or fact.get("settlement_batch_id") or fact["event_id"]
                heard[fact["fact"], subject] += 1
        return heard


@asynccontextmanager
async def _channel(url: str) -> AsyncIterator[aiormq.abc.AbstractChannel]:
    connection = await aiormq.connect(url)
    try:
        yield await connection.channel()
    finally:
        await connection.close()
