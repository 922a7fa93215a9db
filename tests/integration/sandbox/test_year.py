"""A whole year of business, compared to the minor unit; and how fast it goes."""

import time
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random

import aiohttp
import orjson

from deploy.sandbox.core.faults import Fault
from deploy.sandbox.core.refusal import Refused
from deploy.sandbox.sandbox import Sandbox
from shared.sdrp.money import Band, Currency
from shared.sdrp.signature import SignatureRefused, SigningSecret, verify
from tests.integration.sandbox.shop import MERCHANT_TOKEN, ORIGIN, WEBHOOK_SECRET, Receiver, options
from tests.unit.sandbox.given import OWNER

ORDERS = 3000
ROWS_A_SECOND = 20_000
AMOUNTS = ((1200, "JPY"), (450, "JPY"), (49, "JPY"), (1999, "USD"), (299, "USD"), (7, "USD"))


class Ledger:
    """What a shop that believes only verified webhooks has booked, by currency."""

    def __init__(self, shop: Receiver) -> None:
        self.standard: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.metered: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.settled: defaultdict[str, Decimal] = defaultdict(Decimal)
        seen = set()
        for webhook in shop.confirmed():
            event = webhook.verified()
            if event["id"] in seen:
                continue
            seen.add(event["id"])
            data = event["data"]
            match webhook.kind():
                case "standard_settled":
                    self.standard[data["currency"]] += data["amount_minor"]
                case "metered_usage_accepted":
                    self.metered[data["currency"]] += Decimal(data["provider_receivable_minor"])
                case "metered_batch_settled":
                    self.settled[data["currency"]] += Decimal(data["provider_receivable_minor"])


async def sell_for_a_year(sandbox: Sandbox, *, orders: int) -> None:
    random = Random(7)  # noqa: S311 - the same year every time
    for number in range(orders):
        amount_minor, currency = random.choice(AMOUNTS)
        body = {"merchant": "sandbox_merchant", "amount_minor": amount_minor, "currency": currency}
        body |= {"nonce": f"order-{number}", "success_url": ORIGIN, "cancel_url": ORIGIN}
        session, _ = sandbox.platform.checkout.open(OWNER, body)
        try:
            await sandbox.pay(session.id, buyer=f"buyer-{random.randrange(20)}", wait=False)
        except Refused as refused:
            assert refused.code == "METERED_SETTLEMENT_PAST_DUE"  # noqa: PT017 - most are sold
        await sandbox.advance(timedelta(days=365) / orders, wait=False)
    await sandbox.idle()


async def test_a_shop_that_adds_up_its_webhooks_arrives_at_the_platforms_books(shop: Receiver) -> None:
    async with Sandbox(options(shop.url, deliveries_at_once=8)) as sandbox:
        sandbox.switch(Fault.DUPLICATE, 0.05)
        sandbox.switch(Fault.TAMPER, 0.05)
        sandbox.switch(Fault.STALE, 0.05)
        sandbox.switch(Fault.REORDER, 0.05)
        sandbox.switch(Fault.DELAY, 0.05)
        sandbox.switch(Fault.SETTLEMENT_FAILS, 0.5)
        await sell_for_a_year(sandbox, orders=ORDERS)
        sandbox.faults.clear()
        await sandbox.advance(timedelta(days=3))
        books = sandbox.books()
    shop.received = [each for each in shop.received if is_honest(each.raw, each.signature)]
    ledger = Ledger(shop)
    for currency in Currency:
        totals = books.totals[currency]
        assert ledger.standard[currency] == totals.standard_gross
        assert ledger.metered[currency] == totals.metered_gross - totals.metered_fee
        assert ledger.settled[currency] == totals.settled > 0
    assert {batch.band for batch in books.batches} == {Band.MICRO, Band.NANO}


def is_honest(raw: bytes, signature: str) -> bool:
    """Whether a shop would have believed it when it came."""
    try:
        verify(raw, signature.encode(), secrets=[SigningSecret.from_text(WEBHOOK_SECRET)], now=time.time())
    except SignatureRefused:
        return False
    return True


async def test_the_same_seed_makes_the_same_year_byte_by_byte(shop: Receiver) -> None:
    years = []
    for _ in range(2):
        shop.received.clear()
        same = replace(options(shop.url), run="again", seed=11)
        async with Sandbox(same) as sandbox:
            for fault in (
                Fault.DROP,
                Fault.DUPLICATE,
                Fault.DELAY,
                Fault.REORDER,
                Fault.TAMPER,
                Fault.SETTLEMENT_FAILS,
            ):
                sandbox.switch(fault, 0.2)
            await sell_for_a_year(sandbox, orders=150)
        years.append([each.raw for each in shop.received])
    assert years[0] == years[1]
    assert len(years[0]) > 300


async def test_usage_is_paged_fast() -> None:
    """In CPU seconds of this process, which serves, asks and reads: other tests may run beside it."""
    async with Sandbox(options(None)) as sandbox, aiohttp.ClientSession() as client:
        await sell_for_a_year(sandbox, orders=4000)
        headers = {"Authorization": f"Bearer {MERCHANT_TOKEN}"}
        cursor: str | None = ""
        began, rows = time.process_time(), 0
        while cursor is not None:
            url = f"{sandbox.base_url}/sdrp/metered/provider/usage-events?limit=500"
            async with client.get(f"{url}&cursor={cursor}" if cursor else url, headers=headers) as answer:
                page = orjson.loads(await answer.read())["data"]
            rows, cursor = rows + len(page["items"]), page["next_cursor"]
        assert rows > 2000
        assert rows / (time.process_time() - began) > ROWS_A_SECOND
