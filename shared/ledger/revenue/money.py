"""Which kind of money is a batch, and what does it come to? Pure.

Only `settled` with a receipt on the chain is revenue. Kinds are never added to each other, nor is one currency to
another; `rounding_delta_minor` is added to nothing.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

from shared.ledger.transitions import Fact
from shared.sdrp.api.batches import BatchStatus


class Money(StrEnum):
    """How far micro and nano money is."""

    SETTLED = "settled"
    """On the chain: revenue, final."""
    UNSETTLED = "unsettled"
    """Expected; also whatever is in a state that we do not know."""
    PAST_DUE = "past_due"
    """The platform has stopped trying until an operator acts."""
    UNCOLLECTIBLE = "uncollectible"
    WRITTEN_OFF = "written_off"

    __hash__ = str.__hash__


FINAL: Final = frozenset({Money.SETTLED, Money.UNCOLLECTIBLE, Money.WRITTEN_OFF})
FACTS: Final = {
    Money.SETTLED: Fact.USAGE_SETTLED,
    Money.UNCOLLECTIBLE: Fact.USAGE_UNCOLLECTIBLE,
    Money.WRITTEN_OFF: Fact.USAGE_WRITTEN_OFF,
}
"""What the end of a batch says of the orders whose usage it holds."""
KNOWN_STATUSES: Final = frozenset(map(str, BatchStatus))


def money_of(status: str, chain_receipt_id: str | None) -> Money:
    """Total: a state that nobody has told us of is not settled."""
    match status:
        case BatchStatus.SETTLED:
            return Money.SETTLED if chain_receipt_id is not None else Money.UNSETTLED
        case BatchStatus.PAST_DUE:
            return Money.PAST_DUE
        case BatchStatus.UNCOLLECTIBLE:
            return Money.UNCOLLECTIBLE
        case BatchStatus.WRITTEN_OFF:
            return Money.WRITTEN_OFF
        case _:
            return Money.UNSETTLED


class Sums(NamedTuple):
    """So many payments, and their amounts in minor units of one currency."""

    payments: int = 0
    gross: Decimal = Decimal(0)
    """What buyers are debited."""
    fee: Decimal = Decimal(0)
    receivable: Decimal = Decimal(0)
    """What the provider gets: gross less the protocol fee."""

    def plus(self, other: "Sums") -> "Sums":
        return Sums(
            self.payments + other.payments,
            self.gross + other.gross,
            self.fee + other.fee,
            self.receivable + other.receivable,
        )


NOTHING: Final = Sums()


def total(sums: Iterable[Sums]) -> Sums:
    """Of one currency."""
    whole = NOTHING
    for each in sums:
        whole = whole.plus(each)
    return whole


def adds_up(gross: Decimal | None, fee: Decimal | None, receivable: Decimal | None) -> bool:
    """Whether the receivable is gross less fee; what is not stated contradicts nothing."""
    return gross is None or fee is None or receivable is None or gross - fee == receivable


def plain(amount: Decimal) -> str:
    """Minor units as text without an exponent or needless zeros: `100`, `0.2`."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def sums_json(sums: Sums, *, of: str = "payments") -> dict[str, Any]:
    """Amounts are text; `of` is what is counted."""
    return {
        of: sums.payments,
        "gross_minor": plain(sums.gross),
        "fee_minor": plain(sums.fee),
        "receivable_minor": plain(sums.receivable),
    }
