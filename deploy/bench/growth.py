"""Does a worker slow down as the books grow? The same backlog with few and with many orders and events in the books.

Both books are measured in alternating rounds, so that a machine that slows down affects both alike.
"""

from dataclasses import dataclass
from statistics import median

import psycopg

from deploy.bench import history
from deploy.bench.apply import drain
from deploy.bench.rig import Rig


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthFigures:
    growth_small_eps: float
    """Events a second with `growth_small` paid orders and their events in the books, median over the rounds."""
    growth_large_eps: float
    growth_small: int
    growth_large: int


@dataclass(slots=True)
class Past:
    """Books with a past; each round pays orders that were just registered."""

    rig: Rig
    dsn: str
    db: psycopg.Connection
    orders: int

    def fill(self) -> None:
        doing = f"growth: writing a past of {self.orders:,} paid orders"
        history.settle_orders(
            self.db, first=0, count=self.orders, say=lambda done: self.rig.stage.says(doing, done=done, of=self.orders)
        )

    def rate(self, *, number: int, backlog: int) -> float:
        first = self.orders + number * backlog
        history.register_orders(self.db, first=first, count=backlog)
        history.settle_down(self.db)
        return drain(self.rig, self.dsn, self.db, first=first, count=backlog).eps


def measure(rig: Rig, *, small: int, large: int, backlog: int, rounds: int) -> GrowthFigures:
    with rig.books("bench_small") as (few_dsn, few_db), rig.books("bench_large") as (many_dsn, many_db):
        few, many = Past(rig, few_dsn, few_db, small), Past(rig, many_dsn, many_db, large)
        few.fill()
        many.fill()
        rates = [
            (few.rate(number=number, backlog=backlog), many.rate(number=number, backlog=backlog))
            for number in range(rounds)
        ]
    return GrowthFigures(
        growth_small_eps=median(with_few for with_few, _ in rates),
        growth_large_eps=median(with_many for _, with_many in rates),
        growth_small=small,
        growth_large=large,
    )
