"""What differs on a day whose statement rows name no payment? Pure: such rows are compared in number and amount only.

A payment that a row does not name is never looked for among orders.
"""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from shared.ledger.revenue.batches import shown
from shared.ledger.revenue.differences import Difference, Effect, Waiting
from shared.ledger.revenue.money import Sums
from shared.ledger.transitions import ReviewReason


class Day(NamedTuple):
    """What both sides say of one day's payments of a band that statement rows do not name."""

    day: date
    currency: str
    pricing_band: str
    stated: Sums
    booked: Sums
    waiting: Waiting

    @property
    def missing(self) -> tuple[int, Decimal]:
        """By how much the books and the desk exceed the statements."""
        ours = self.booked.plus(self.waiting.whole)
        return ours.payments - self.stated.payments, ours.gross - self.stated.gross


def of_days(days: Iterable[Day]) -> list[Difference]:
    """Days whose payments differ in number or amount, or that only webhooks in review make up for."""
    return [_of_day(day) for day in sorted(days) if any(day.missing) or day.waiting != Waiting()]


def _of_day(day: Day) -> Difference:
    ours = {"count": day.booked.payments, "gross_minor": shown(day.booked.gross)}
    if day.waiting != Waiting():
        ours |= {"in_review_count": day.waiting.whole.payments, "in_review_gross_minor": shown(day.waiting.whole.gross)}
    excess = day.booked.gross - day.stated.gross
    return Difference(
        ReviewReason.STATEMENT_TOTAL_MISMATCH,
        f"day:{day.day}:{day.currency}:{day.pricing_band}",
        datetime.fromisoformat(f"{day.day}T00:00:00+00:00"),
        statement={"count": day.stated.payments, "gross_minor": shown(day.stated.gross)},
        books=ours,
        currency=day.currency,
        stake=abs(excess) or day.stated.gross,
        effects=(Effect(day.currency, day.pricing_band, excess),),
        waiting=None if any(day.missing) else day.waiting,
    )
