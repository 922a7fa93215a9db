"""SQL that several queries of statements have in common: which money is final, and which money is a row?

Arguments are the names that a query gives to `kessai.statement_usage` and `kessai.statement_batches`.
"""

from collections.abc import Container
from typing import Final

from shared.ledger.revenue.money import FINAL, Money


def _list_of(kinds: Container[Money]) -> str:
    return ", ".join(f"'{money}'" for money in Money if money in kinds)


FINAL_MONEY: Final = f"({_list_of(FINAL)})"
"""The kinds of money that a batch stays: `money IN ...`."""
OPEN_MONEY: Final = f"({_list_of(frozenset(Money) - FINAL)})"
"""The kinds of money of a batch that may still be settled or given up."""


def has_unit_of(row: str, batch: str) -> str:
    """Whether a row is of the currency and token of its batch; true where the batch names none or there is no batch."""
    return f"""
    (coalesce({batch}.currency, {row}.currency) = {row}.currency
     AND coalesce({batch}.token_symbol, {row}.token_symbol) = {row}.token_symbol)
    """


def money_of_row(row: str, batch: str) -> str:
    """Which kind of money a row is: that of its batch; a row of another unit than its batch has reached no chain."""
    return f"coalesce(CASE WHEN {has_unit_of(row, batch)} THEN {batch}.money END, '{Money.UNSETTLED}')"
