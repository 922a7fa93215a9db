"""A shop for a year: orders of every band and currency, an operator at the platform, and Kessai behind its webhook."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count, cycle
from random import Random
from typing import Final

from deploy.sandbox.core.batches import BatchStatus
from deploy.sandbox.core.faults import Fault
from deploy.sandbox.core.refusal import Refused
from deploy.sandbox.core.webhooks import Delivery, DeliveryStatus
from deploy.sandbox.sandbox import Sandbox
from shared.ledger import orders
from shared.ledger.database import Pool, connected
from shared.ledger.sweep_rules import SweepTerms
from shared.sdrp.api.clients import MerchantClient, ProviderClient
from shared.sdrp.api.errors import SiglumeApiError
from shared.sdrp.api.retries import Patience
from shared.sdrp.api.transport import Transport
from tests.faults.year.till import Till, Wanted
from tests.given import ENDPOINT
from tests.integration.workers.bench import until
from workers.platform_sessions import PlatformAway
from workers.reconcile.result import Reconciled
from workers.reconcile.sweep import TURN, Look, SweptEndpoint
from workers.reconcile.turn import reconcile

AMOUNTS: Final = ((1200, "JPY"), (450, "JPY"), (49, "JPY"), (1999, "USD"), (299, "USD"), (7, "USD"))
"""Standard, micro and nano in each currency."""
FAULTS: Final = {
    Fault.DROP: 0.02,
    Fault.DUPLICATE: 0.05,
    Fault.DELAY: 0.05,
    Fault.REORDER: 0.05,
    Fault.STALE: 0.05,
    Fault.TAMPER: 0.05,
    Fault.SERVER_ERROR: 0.05,
    Fault.SLOW: 0.02,
    Fault.CHECKOUT_DISABLED: 0.01,
    Fault.PAYMENT_FAILS: 0.02,
    Fault.BILLING_INACTIVE: 0.01,
    Fault.NOTICE_FAILS: 0.2,
    Fault.SETTLEMENT_FAILS: 0.3,
    Fault.SETTLEMENT_REFUSED: 0.05,
    Fault.SETTLEMENT_UNKNOWN: 0.1,
}
"""The share of each. The clock of an API that asks for patience is a real one: so it asks a few times only."""
RATE_LIMITS: Final = 4
RUSH: Final = 10
"""Orders that come together."""
STATEMENTS_AFTER: Final = (timedelta(days=20), timedelta(days=2))
"""In turns: a run that reads everything because the last one is long ago, and one that does not."""
OPERATOR_EVERY: Final = timedelta(days=20)
OPERATOR_UNTIL: Final = timedelta(days=320)
"""What becomes past due later stays so."""
DROUGHTS: Final = ((timedelta(days=150), timedelta(days=175)), (timedelta(days=325), timedelta(days=352)))
"""When no wallet has any money: batches of that time become past due."""
SWEPT_PER_MINUTE: Final = 6000
"""As many as the settings allow."""
PATIENCE: Final = Patience(attempts=3, first_wait=0.01, longest_wait=0.05)


@dataclass(slots=True)
class Business:
    sandbox: Sandbox
    pool: Pool
    transport: Transport
    till: Till
    orders: int
    dice: Random = field(default_factory=lambda: Random(7))  # noqa: S311 - the same year every time
    runs: list[Reconciled] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    """At sessions whose webhook had not come."""
    broken_off: int = 0
    """Runs and sweeps that the platform did not let come to their end."""
    decisions: Iterator[int] = field(default_factory=count)
    """Of the platform's operator."""

    async def trade(self, numbers: range) -> None:
        """Sell these, some at once and then for a while none."""
        a_while = timedelta(days=365) / self.orders
        next_run, next_round, runs_after = self.sandbox.now, self.sandbox.now, cycle(STATEMENTS_AFTER)
        for first in numbers[::RUSH]:
            rush = range(first, min(first + RUSH, numbers.stop))
            into_the_year = a_while * first
            self._switch(into_the_year)
            await self._sell(rush)
            await self.sandbox.advance(a_while * len(rush), wait=False)
            if self.sandbox.now >= next_round and into_the_year < OPERATOR_UNTIL:
                self._operate()
                next_round += OPERATOR_EVERY
            if self.sandbox.now >= next_run:
                await self.read_statements()
                await self.sweep()
                next_run += next(runs_after)

    async def read_statements(self) -> Reconciled:
        """One run to its end, through whatever the platform does meanwhile."""
        for _ in range(20):
            result = Reconciled(ENDPOINT)
            with suppress(SiglumeApiError):
                async with connected(self.pool) as connection:
                    client = ProviderClient(self.transport)
                    await reconcile(connection, client, result, clock=lambda: self.sandbox.now)
                self.runs.append(result)
                return result
            self.broken_off += 1
        raise AssertionError("the platform never lets a run come to its end")

    async def sweep(self) -> None:
        """Turns of a minute until no session is due; one in which the platform does not answer is the last for now."""
        terms = SweepTerms(merchant=self.sandbox.options.shop.merchant)
        shop = SweptEndpoint(
            MerchantClient(self.transport),
            ENDPOINT,
            terms,
            self.till.books.run,
            per_minute=SWEPT_PER_MINUTE,
            clock=lambda: self.sandbox.now,
        )
        while True:
            await self.sandbox.advance(TURN)
            await self.caught_up()
            try:
                looks = await shop.turn(asyncio.Event())
            except PlatformAway:
                self.broken_off += 1
                return
            assert looks is not None, "nobody else sweeps by this clock"
            self.looks += looks
            if not looks:
                return

    async def _sell(self, numbers: range) -> None:
        rush = [Wanted(number, *self.dice.choice(AMOUNTS)) for number in numbers]
        sessions = await asyncio.gather(*map(self.till.offer, rush))
        for wanted, session_id in zip(rush, sessions, strict=True):
            buyer = f"buyer-{self.dice.randrange(max(20, self.orders // 50))}"
            if session_id is not None:
                with suppress(Refused), self.till.telling_of(wanted):  # who owes too much buys nothing
                    await self.sandbox.pay(session_id, buyer=buyer, wait=False)
        await self.till.write_down()

    async def register_forgotten(self) -> None:
        async with connected(self.pool) as connection:
            await orders.register(connection, self.till.forgotten, actor="test", now=self.sandbox.now)

    def _switch(self, into_the_year: timedelta) -> None:
        is_dry = any(first <= into_the_year < last for first, last in DROUGHTS)
        for fault in (Fault.SETTLEMENT_FAILS, Fault.SETTLEMENT_REFUSED, Fault.SETTLEMENT_UNKNOWN):
            dry = 1.0 if fault is Fault.SETTLEMENT_FAILS else 0.0
            self.sandbox.switch(fault, dry if is_dry else FAULTS[fault])

    def _operate(self) -> None:
        """The platform's operator takes up what nobody could debit, and leaves some of it as it is."""
        for batch in self.sandbox.platform.settlement.every():
            if batch.status in (BatchStatus.FAILED, BatchStatus.PAST_DUE):
                settlement = self.sandbox.platform.settlement
                match next(self.decisions) % 4:
                    case 0:
                        settlement.requeue(batch.id)
                    case 1:
                        settlement.give_up(batch.id, BatchStatus.UNCOLLECTIBLE)
                    case 2:
                        settlement.give_up(batch.id, BatchStatus.WRITTEN_OFF)

    def switch_on(self) -> None:
        for fault, share in FAULTS.items():
            self.sandbox.switch(fault, share, seconds=0.02 if fault is Fault.SLOW else None)
        self.sandbox.switch(Fault.RATE_LIMIT, 0.05, times=RATE_LIMITS)
        assert self.sandbox.faults.settings.keys() == set(Fault)

    def undelivered(self) -> list[Delivery]:
        """The last delivery of each event that never arrived."""
        log = list(self.sandbox.platform.webhooks.log())
        arrived = {each.event.id for each in log if each.status is DeliveryStatus.DELIVERED}
        return list({each.event.id: each for each in log if each.event.id not in arrived}.values())

    async def redeliver(self) -> None:
        """Everything that never arrived, by hand."""
        for delivery in self.undelivered():
            self.sandbox.platform.webhooks.redeliver(delivery.id)
            await self.sandbox.advance(timedelta(0))
        await self.sandbox.idle()
        assert self.undelivered() == []

    async def caught_up(self) -> None:
        """Return once the books hold every event that the shop's door accepted."""
        log = self.sandbox.platform.webhooks.log()
        accepted = list({each.event.id for each in log if each.status is DeliveryStatus.DELIVERED})

        async def is_booked() -> bool:
            query = "SELECT count(*) FROM kessai.webhook_events WHERE event_id = ANY ($1::text[])"
            return bool(await self.pool.fetchval(query, accepted) == len(accepted))

        await until(is_booked, within=60.0)
