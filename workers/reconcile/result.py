"""What did one run through an endpoint's statements do? Counted while it runs, so that a broken one can tell, too."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from shared.ledger.revenue.comparing import Compared
from shared.ledger.revenue.exposed import Exposed
from shared.ledger.revenue.money import Money, plain
from shared.ledger.revenue.statements import Applied
from shared.ledger.revenue.syncs import List
from shared.ledger.revenue.totals import Total
from shared.ledger.transitions import OrderState


@dataclass(slots=True)
class ListRead:
    pages: int = 0
    rows: int = 0
    new: int = 0
    changed: int = 0

    def add(self, applied: Applied) -> None:
        self.rows += applied.new + applied.changed + applied.same
        self.new += applied.new
        self.changed += applied.changed


@dataclass(slots=True)
class Reconciled:
    endpoint: str
    lists: dict[List, ListRead] = field(default_factory=lambda: {what: ListRead() for what in List})
    notes: list[str] = field(default_factory=list)
    """What a person should know although the run went on."""
    moved: Counter[OrderState] = field(default_factory=Counter)
    """Orders, by what they are now."""
    compared: Compared = field(default_factory=lambda: Compared(None))
    totals: Sequence[Total] = ()
    """The platform's own sums beside those of the books, as far as they stood still meanwhile."""
    exposed: Exposed = field(default_factory=Exposed)
    """Buyers near the amount at which the platform takes no more of them."""
    finished_at: datetime | None = None

    @property
    def did_anything(self) -> bool:
        """Whether there is something to tell: a run that was broken off may have moved orders."""
        return self.finished_at is not None or bool(self.moved) or any(read.rows for read in self.lists.values())

    @property
    def unexplained(self) -> dict[tuple[str, str], Decimal]:
        """What the books do not account for, by its unit and where: beside webhooks, or beside a sum of Siglume's."""
        beside_webhooks = {(currency, "webhooks"): amount for currency, amount in self.compared.unexplained.items()}
        return beside_webhooks | {(each.token_symbol, each.money): each.excess for each in self.totals if each.excess}

    def as_json(self) -> dict[str, Any]:
        """Amounts are text."""
        compared = self.compared
        return {
            "endpoint": self.endpoint,
            "finished_at": self.finished_at,
            **{
                str(what): {"pages": read.pages, "read": read.rows, "new": read.new, "changed": read.changed}
                for what, read in self.lists.items()
            },
            "orders": {str(money): self.moved[OrderState(money)] for money in _ENDS},
            "compared_until": compared.until,
            "differences": {
                "found": compared.differences,
                "opened": compared.opened,
                "changed": compared.changed,
                "closed": compared.closed,
            },
            "totals": [
                {
                    "token_symbol": each.token_symbol,
                    "money": each.money,
                    "stated_minor": plain(each.stated),
                    "booked_minor": plain(each.booked),
                }
                for each in self.totals
            ],
            "unexplained": [
                {"unit": unit, "beside": beside, "amount_minor": plain(amount)}
                for (unit, beside), amount in self.unexplained.items()
            ],
            "exposed_buyers": {str(level): buyers for level, buyers in self.exposed.counts.items()},
            "notes": self.notes,
        }


_ENDS = (Money.SETTLED, Money.UNCOLLECTIBLE, Money.WRITTEN_OFF)
