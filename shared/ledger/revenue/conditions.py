"""SQL that several queries of statements have in common: may the money of a batch be said of one of its rows?

Arguments are the names that a query gives to `kessai.statement_usage` and `kessai.statement_batches`.
"""


def has_unit_of(row: str, batch: str) -> str:
    """Whether a row is of the currency and token of its batch; true where the batch names none or there is no batch."""
    return f"""
    (coalesce({batch}.currency, {row}.currency) = {row}.currency
     AND coalesce({batch}.token_symbol, {row}.token_symbol) = {row}.token_symbol)
    """


def money_of_row(row: str, batch: str) -> str:
    """Which kind of money a row is: that of its batch; a row of another unit than its batch has reached no chain."""
    return f"coalesce(CASE WHEN {has_unit_of(row, batch)} THEN {batch}.money END, 'unsettled')"
