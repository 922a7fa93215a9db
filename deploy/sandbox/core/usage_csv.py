"""What does the CSV file of a batch's usage contain?"""

import csv
import io
from collections.abc import Iterable
from typing import Final

from deploy.sandbox.core.statements import usage_row
from deploy.sandbox.core.usage import Usage

COLUMNS: Final = (
    "metered_usage_id",
    "created_at",
    "plan_type",
    "settlement_cadence",
    "period_start",
    "period_end",
    "listing_id",
    "capability_key",
    "operation_key",
    "currency",
    "token_symbol",
    "provider_usage_amount_minor",
    "provider_receivable_minor",
    "protocol_fee_minor",
    "gross_buyer_debit_minor",
    "rounding_delta_minor",
    "buyer_debit_minor",
    "status",
    "settlement_batch_id",
    "buyer_period_ref",
)


def usage_csv(rows: Iterable[Usage]) -> str:
    """A heading and a line a row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(usage_row(row) for row in rows)
    return text.getvalue()
