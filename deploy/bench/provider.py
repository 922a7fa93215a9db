"""A simulated platform with many settled nano payments: `python -m deploy.bench.provider ROWS PORT` serves it.

Payment `n` is of the requirement that `bench.requirement_id(n)` names, and all of them are as old as billing takes.
"""

import sys
from datetime import UTC, datetime, timedelta
from typing import Final

from deploy.bench import traffic
from deploy.sandbox.core.batches import AccountKey
from deploy.sandbox.core.people import user_of
from deploy.sandbox.core.platform import Platform, Shop
from deploy.sandbox.core.pricing import price
from deploy.sandbox.core.usage import Purchase
from deploy.sandbox.sandbox import Options
from deploy.sandbox.serve import serve
from shared.sdrp.money import Band, Currency

AMOUNT_MINOR: Final = 7
PAYMENTS_A_BATCH: Final = 100
BILLED_WITHIN: Final = timedelta(days=45)
"""A nano period, its notice and its debit."""
SHOP: Final = Shop(traffic.MERCHANT)


def fill(platform: Platform, rows: int) -> None:
    """All bought at once by many buyers, then settled."""
    provider, paid = user_of(SHOP.token), price(AMOUNT_MINOR, Currency.JPY, plan="launch")
    for number in range(rows):
        buyer = AccountKey(f"buyer-{number // PAYMENTS_A_BATCH}", SHOP.merchant, Currency.JPY, Band.NANO)
        purchase = Purchase(traffic.requirement_id(number), None, paid, "listing", "capability", "operation")
        platform.settlement.accounts.accept(buyer, provider, purchase)
    until = platform.now + BILLED_WITHIN
    while (due := platform.next_at) is not None and due <= until:
        platform.step_to(until)
    platform.step_to(until)


if __name__ == "__main__":
    rows, port = map(int, sys.argv[1:])
    start = datetime.now(UTC) - BILLED_WITHIN - timedelta(days=1)
    serve(Options(SHOP, port=port, start=start), started=lambda sandbox: fill(sandbox.platform, rows))
