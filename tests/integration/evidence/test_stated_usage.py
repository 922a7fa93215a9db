"""What statements say of a payment is found by its requirement or challenge, however many others are stated."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from shared.ledger import platform_evidence, reviews
from shared.ledger.database import connected
from shared.ledger.platform_evidence import USAGE
from tests.given import ENDPOINT, challenge_hash, usage
from tests.integration.ledger.books import TestBooks

MANY = """
INSERT INTO kessai.statement_usage (
    metered_usage_id, endpoint, plan_type, status, currency, token_symbol, provider_gross_amount_minor,
    protocol_fee_minor, provider_receivable_minor, requirement_id, challenge_hash, paired_with, created_at, stated_at)
SELECT 'usage-' || n, $1, 'micro', 'accepted', 'JPY', 'JPYC', 200, 4, 196, 'req-' || n, 'hash-' || n,
       CASE WHEN n % 3 = 0 THEN 'pair-' || n END, now() - n * interval '1 s', now()
FROM generate_series(1, 6000) AS n
"""


@pytest.mark.parametrize(
    ("requirement_id", "change", "found"),
    [
        ("pair-3", "", "usage-3"),
        ("req-4", "", "usage-4"),
        ("req-3", "", None),  # it is another payment's
        (
            "req-9999",
            "UPDATE kessai.statement_usage SET challenge_hash = $1 WHERE metered_usage_id = 'usage-5'",
            "usage-5",
        ),
        (None, "UPDATE kessai.statement_usage SET challenge_hash = $1 WHERE metered_usage_id = 'usage-5'", "usage-5"),
        (None, "UPDATE kessai.statement_usage SET challenge_hash = $1 WHERE metered_usage_id = 'usage-6'", None),
    ],
)
async def test_usage_is_found_by_its_pair_else_by_what_it_names(
    books: TestBooks, requirement_id: str | None, change: str, found: str | None
) -> None:
    await books.rows(MANY, ENDPOINT)
    if change:
        await books.rows(change, challenge_hash("order-1"))
    await books.apply(usage())
    async with connected(books.pool) as connection:
        review, _ = await reviews.find(connection, 1)
        stated: Any = await platform_evidence.stated(connection, review, requirement_id=requirement_id, batch_id=None)
    assert stated.get("usage", {}).get("metered_usage_id") == found


async def test_it_is_looked_for_in_no_other_rows(books: TestBooks) -> None:
    await books.rows(MANY, ENDPOINT)
    for _ in range(2):  # without statistics, and with them
        plan = orjson.loads(
            await books.value(f"EXPLAIN (ANALYZE, FORMAT JSON) {USAGE}", ENDPOINT, "req-0", challenge_hash("order-1"))
        )
        assert sum(_removed(plan[0]["Plan"])) == 0
        await books.rows("ANALYZE kessai.statement_usage")


def _removed(node: dict[str, Any]) -> Iterator[int]:
    yield node.get("Rows Removed by Filter", 0)
    for part in node.get("Plans", ()):
        yield from _removed(part)
