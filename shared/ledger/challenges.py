"""Which challenges may a buyer pay for an order?"""

from shared.ledger.database import Connection


async def hashes_of(connection: Connection, order_id: str) -> list[str]:
    """The challenge hashes of an order, the newest first."""
    rows = await connection.fetch(
        """
        SELECT challenge_hash
        FROM kessai.challenges
        WHERE order_id = $1
        ORDER BY created_at DESC, challenge_hash
        """,
        order_id,
    )
    return [row["challenge_hash"] for row in rows]


async def order_of(connection: Connection, challenge_hash: str) -> str | None:
    """The order that a payment of this challenge pays."""
    order_id: str | None = await connection.fetchval(
        "SELECT order_id FROM kessai.challenges WHERE challenge_hash = $1", challenge_hash
    )
    return order_id
