"""Months of a simulated platform: its own truth and our report say the same, to the minor unit, month after month."""

from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import orjson

from deploy.sandbox.core.batches import BatchStatus
from deploy.sandbox.core.faults import Fault, Setting
from deploy.sandbox.core.refusal import Refused
from shared.ledger.books import Shop
from shared.ledger.database import connected
from shared.ledger.orders import NewOrder
from shared.ledger.revenue import comparing, settling, statements, syncs
from shared.ledger.revenue.money import Money, Sums, plain, total
from shared.ledger.revenue.periods import Period
from shared.ledger.revenue.report import Report, revenue
from shared.ledger.revenue.syncs import List
from shared.sdrp.api.batches import SettlementBatch
from shared.sdrp.api.pages import Page, read_page
from shared.sdrp.api.usage import ProviderUsageEvent
from shared.sdrp.challenge import challenge_hash
from tests.given import ENDPOINT, incoming
from tests.integration.ledger.books import TestBooks
from tests.unit.sandbox.given import OWNER, SHOP, Town

PRICES = [(20, "JPY"), (200, "JPY"), (490, "JPY"), (1200, "JPY"), (25, "USD"), (250, "USD"), (900, "USD")]
BUYERS = [f"buyer_{number}" for number in range(12)]
YEAR = Period.parse("2026")


class Month:
    """A shop whose books hear the platform's webhooks, and read its statements in small pages."""

    def __init__(self, books: TestBooks) -> None:
        self.books = books
        self.books.shops = {ENDPOINT: Shop(SHOP.merchant, allow_metered_payments=True)}
        self.town = Town(seed=7)
        self.dice = Random(7)  # noqa: S311 - a test's

    async def sell(self, amount: int, currency: str) -> None:
        session = self.town.open(amount_minor=amount, currency=currency)
        await self.books.register(
            NewOrder(session.id, amount, currency, ENDPOINT, challenge_hash(session.order.challenge))
        )
        with suppress(Refused):  # who owes something already
            self.town.platform.checkout.pay(session.id, f"usr_{self.dice.choice(BUYERS)}")

    async def pass_time(self, **span: float) -> None:
        """Whatever the platform tells meanwhile is applied."""
        platform = self.town.platform
        until = platform.now + timedelta(**span)
        while (due := platform.next_at) is not None and due <= until:
            platform.step_to(until)
            await self._hear()
        platform.step_to(until)
        await self._hear()

    async def _hear(self) -> None:
        platform = self.town.platform
        while platform.webhooks.attempts:
            attempt = platform.webhooks.attempts.popleft()
            await self.books.apply(incoming(attempt.sent, received_at=platform.now))
            platform.webhooks.answered(attempt.delivery_id, 204, attempted_at=platform.now)
        await self.books.rows("UPDATE kessai.settlement_batches SET booked_at = settled_at")  # not the time of the test

    async def sync(self) -> comparing.Compared:
        await self._walk(List.BATCHES)
        await self._walk(List.USAGE)
        await self._settle()
        async with connected(self.books.pool) as connection:
            return await comparing.compare(connection, ENDPOINT, now=self.town.platform.now)

    async def _walk(self, what: List) -> None:
        while True:
            now = self.town.platform.now
            async with connected(self.books.pool) as connection:
                run = await syncs.resume(connection, ENDPOINT, what, now=now)
                query = {"limit": "7"} | ({"cursor": run.cursor} if run.cursor else {})
                terms: dict[str, Any] = {"cursor": run.cursor, "stated_at": now}
                if what is List.USAGE:
                    usage = self._usage(query)
                    await statements.apply_usage_page(connection, ENDPOINT, usage.items, usage.next_cursor, **terms)
                    last = usage.next_cursor
                else:
                    batches = self._batches(query)
                    await statements.apply_batch_page(connection, ENDPOINT, batches.items, batches.next_cursor, **terms)
                    last = batches.next_cursor
            if last is None:
                return

    def _usage(self, query: dict[str, str]) -> Page[ProviderUsageEvent]:
        return read_page(
            _sent(self.town.platform.statements.provider_usage(OWNER, query)), "usage", ProviderUsageEvent.read
        )

    def _batches(self, query: dict[str, str]) -> Page[SettlementBatch]:
        return read_page(
            _sent(self.town.platform.statements.provider_batches(OWNER, query)), "batches", SettlementBatch.read
        )

    async def _settle(self) -> None:
        async with connected(self.books.pool) as connection:
            while (await settling.settle_orders(connection, ENDPOINT, now=self.town.platform.now, limit=5)).more:
                pass

    async def report(self) -> Report:
        async with connected(self.books.pool) as connection:
            return await revenue(connection, YEAR, now=self.town.platform.now)


def _sent(answer: object) -> object:
    """As it comes over the wire."""
    return orjson.loads(orjson.dumps(answer))


async def test_months_of_business(books: TestBooks) -> None:
    month = Month(books)
    month.town.platform.faults.switch(Fault.SETTLEMENT_FAILS, Setting(0.3))
    month.town.platform.faults.switch(Fault.SETTLEMENT_REFUSED, Setting(0.1))
    for week in range(8):
        for _ in range(12):
            await month.sell(*month.dice.choice(PRICES))
            await month.pass_time(hours=month.dice.randint(1, 12))
        if week == 5:
            _give_up_what_failed(month.town)
        await month.pass_time(days=2)
        compared = await month.sync()
        assert (compared.differences, await _open(books)) == (0, 0)
        await _agrees(month)
    ends = await books.rows("SELECT DISTINCT money FROM kessai.statement_batches")
    assert {row["money"] for row in ends} >= {"settled", "unsettled", "uncollectible", "written_off"}


async def test_webhooks_that_never_came_are_found(books: TestBooks) -> None:
    month = Month(books)
    for turn in range(10):
        if turn == 4:
            month.town.platform.faults.switch(Fault.DROP, Setting(1.0, times=1))
        await month.sell(200, "JPY")
        await month.pass_time(hours=1)
    await month.pass_time(days=40)
    await month.sync()
    found = await month.report()
    (lost,) = await books.rows("SELECT order_id FROM kessai.orders WHERE state = 'pending'")
    (difference,) = found.differences
    assert (difference.difference.reason, difference.standing) == ("webhook_missing", "in_review")
    assert difference.difference.challenge_hash == await books.value(
        "SELECT challenge_hash FROM kessai.challenges WHERE order_id = $1", lost["order_id"]
    )
    assert found.is_explained


def _give_up_what_failed(town: Town) -> None:
    for batch, status in zip(_failed(town), [BatchStatus.UNCOLLECTIBLE, BatchStatus.WRITTEN_OFF] * 20, strict=False):
        town.platform.settlement.give_up(batch, status)


def _failed(town: Town) -> list[str]:
    return [batch.id for batch in town.batches if batch.status in (BatchStatus.FAILED, BatchStatus.PAST_DUE)]


async def _open(books: TestBooks) -> int:
    return int(await books.value("SELECT count(*) FROM kessai.reviews WHERE state = 'open'"))


async def _agrees(month: Month) -> None:
    """The platform's own totals, kind by kind."""
    found = await month.report()
    assert found.is_explained
    for currency, truth in month.town.platform.books().totals.items():
        ours = found.currency(currency)
        kinds = {kind: _sum(ours.bands.values(), kind) for kind in Money}
        assert {kind: plain(sums.receivable) for kind, sums in kinds.items()} == {
            Money.SETTLED: plain(truth.settled),
            Money.UNSETTLED: plain(truth.unsettled),
            Money.PAST_DUE: plain(truth.past_due),
            Money.UNCOLLECTIBLE: plain(truth.uncollectible),
            Money.WRITTEN_OFF: plain(truth.written_off),
        }
        assert plain(total(kinds.values()).gross) == plain(truth.metered_gross)
        assert (ours.standard.payments, plain(ours.standard.gross)) == (
            *(truth.standard_payments, plain(truth.standard_gross)),
        )


def _sum(bands: Any, kind: Money) -> Sums:  # noqa: ANN401 - the bands of a currency
    return total(band.kinds[kind] for band in bands)
