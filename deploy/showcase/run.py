"""Runs the demo: prepares the books, starts the programs, sends two thousand webhooks, and reads the books."""

import asyncio
import csv
import random
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import count

from deploy.cli.books import actor, commit
from deploy.local.ports import LOOPBACK
from deploy.sending.post import Posting, address, post_all
from deploy.showcase import poison
from deploy.showcase.found import Fates, Proof, fates_of, prove
from deploy.showcase.programs import Programs
from deploy.showcase.result import Line, Result
from deploy.showcase.scene import Scene, Shop, fate
from deploy.showcase.scenes import all_scenes
from deploy.showcase.setting import KIOSK, MERCHANTS, SECRETS, WEB, Setting
from deploy.showcase.stage import Bars, Stage
from shared.ledger import orders
from shared.ledger.database import Connection, Pool, open_pool
from shared.ledger.orders import NewOrder
from shared.sdrp.signature import SigningSecret

ACCEPTED = 204
RATE = 500.0
"""Webhooks a second: slow enough to watch."""
AT_ONCE = 32
PATIENCE = 30.0
"""Seconds without progress after which waiting ends."""
POLL_SECONDS = 0.25
WORKERS = ("confirmations", "confirmations", "dead-letters", "outbox")
"""Two workers consume confirmations, so that they compete for the same events."""


class Demo:
    """One run in one setting."""

    def __init__(self, setting: Setting, programs: Programs, stage: Stage, *, port: int) -> None:
        self.run = secrets.token_hex(4)
        self.port = port
        self._setting = setting
        self._programs = programs
        self._stage = stage
        self._began = datetime.now(UTC)
        self._shops = {name: self._shop(name) for name in (WEB, KIOSK)}
        self._scenes = all_scenes(self.run, web=self._shops[WEB], kiosk=self._shops[KIOSK], now=self._began)
        self._poison = poison.poison_messages(self.run, self._began)
        self._statuses: dict[str, Counter[int]] = {}
        """Statuses that the ingress answered, by scene."""
        self._bodies = {posting.raw: posting.label for scene in self._scenes for posting in scene.postings}
        self._bodies |= {message.kept: poison.SCENE for message in self._poison}

    def perform(self) -> Result:
        """Raises KessaiError."""
        self._prepare()
        return asyncio.run(self._act())

    def url(self, shop: str) -> str:
        return f"http://{LOOPBACK}:{self.port}/webhooks/{shop}"

    def _shop(self, name: str) -> Shop:
        return Shop(name, MERCHANTS[name], SigningSecret.from_text(SECRETS[name]), address(self.url(name)))

    def _prepare(self) -> None:
        with self._stage.step("making the books and the queues", "books and queues are made"):
            self._programs.run("migrate")
            self._programs.run("topology", "apply")
        with self._stage.step("starting ingress and workers", f"ingress and {len(WORKERS)} workers run"):
            self._programs.start("ingress", "ingress", "--host", LOOPBACK, "--port", str(self.port))
            for number, role in enumerate(WORKERS):
                self._programs.start(f"worker-{role}-{number}", "worker", role)
            self._programs.await_ready()
        known = [order for scene in self._scenes for order in scene.orders]
        with self._stage.step("registering orders", f"{len(known):,} orders are registered"):
            self._import(known, "orders.csv")

    def _import(self, known: Iterable[NewOrder], name: str) -> None:
        """Import the orders with the command that a merchant uses."""
        path = self._setting.folder / name
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("order_id", "amount_minor", "currency", "challenge_hash", "endpoint"))
            for order in known:
                rows.writerow(
                    (order.order_id, order.amount_minor, order.currency, order.challenge_hash, order.endpoint)
                )
        self._programs.run("orders", "import", str(path))

    async def _act(self) -> Result:
        pool = await open_pool(self._setting.database_url, application="kessai demo", size=2, statement_timeout=30.0)
        try:
            await self._cancel_some(pool)
            await self._send_all(pool)
            await self._register_late(pool)
            with self._stage.step("reading the books", "the books are read"):
                return await self._read(pool)
        finally:
            pool.terminate()

    async def _cancel_some(self, pool: Pool) -> None:
        for order_id in (order_id for scene in self._scenes for order_id in scene.cancelled):

            async def work(connection: Connection, order_id: str = order_id) -> object:
                return await orders.cancel(connection, order_id, actor=actor(), now=datetime.now(UTC))

            await commit(pool, work)

    async def _send_all(self, pool: Pool) -> None:
        """Send in random order, with poison messages among them; return when the books hold everything."""
        postings = [posting for scene in self._scenes for posting in scene.postings]
        random.Random(self.run).shuffle(postings)  # noqa: S311 - no secret depends on it
        with self._stage.step("sending webhooks", f"{len(postings):,} webhooks are sent and handled") as bars:
            await asyncio.gather(self._post(postings, bars), self._await_books(pool, bars))

    async def _post(self, postings: Sequence[Posting], bars: Bars) -> None:
        sent = count(1)

        def answered(posting: Posting, status: int) -> None:
            self._statuses.setdefault(posting.label, Counter())[status] += 1
            bars.fill("webhooks sent", next(sent), len(postings))

        await poison.publish(self._poison, self._setting.amqp_url)
        await post_all(postings, concurrency=AT_ONCE, rate=RATE, answered=answered)

    async def _await_books(self, pool: Pool, bars: Bars) -> None:
        """Return when they hold all that is expected, or after a while without progress."""
        due = len(self._poison) + sum(
            times for scene in self._scenes for end, times in scene.expected.items() if not end.startswith("refused")
        )
        held, moved_at = 0, time.monotonic()
        while held < due and time.monotonic() < moved_at + PATIENCE:
            await asyncio.sleep(POLL_SECONDS)
            self._programs.check()
            now_held = sum(fates.total() for fates in (await self._fates(pool)).values())
            if now_held != held:
                held, moved_at = now_held, time.monotonic()
            bars.fill("in the books", held, due)

    async def _register_late(self, pool: Pool) -> None:
        """Register the orders whose payments arrived first and wait in reviews."""
        late = [order for scene in self._scenes for order in scene.late_orders]
        done = f"{len(late)} late orders are registered, and their payments applied"
        with self._stage.step("registering late orders", done):
            await asyncio.to_thread(self._import, late, "late-orders.csv")

    async def _read(self, pool: Pool) -> Result:
        fates = await self._fates(pool)
        proof = await self._prove(pool)
        poisoned = Line(poison.SCENE, poison.TITLE, len(self._poison), poison.fates(self._poison), fates[poison.SCENE])
        return Result(tuple(self._line(scene, fates) for scene in self._scenes), poisoned, proof)

    def _line(self, scene: Scene, fates: Fates) -> Line:
        found = +fates.get(scene.name, Counter())
        for status, times in self._statuses.get(scene.name, Counter()).items():
            if status != ACCEPTED:
                found[fate("refused", str(status or "no answer"))] += times
        return Line(scene.name, scene.title, len(scene.postings), scene.expected, found)

    async def _prove(self, pool: Pool) -> Proof:
        """Return the proof when every fact is published, or after a while."""

        async def work(connection: Connection) -> Proof:
            return await prove(connection, self.run, self._began, self._shops)

        patient_until = time.monotonic() + PATIENCE
        while (proof := await commit(pool, work)).waiting_facts and time.monotonic() < patient_until:
            await asyncio.sleep(POLL_SECONDS)
        return proof

    async def _fates(self, pool: Pool) -> Fates:
        async def work(connection: Connection) -> Fates:
            return await fates_of(connection, self.run, self._began, self._bodies)

        return defaultdict(Counter, await commit(pool, work))
