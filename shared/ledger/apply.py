"""One batch of events, one transaction: look up, rule, write."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.ledger.books import Shop
from shared.ledger.database import Connection
from shared.ledger.effects import RequirementSpent
from shared.ledger.incoming import Incoming
from shared.ledger.lookup import load_books
from shared.ledger.rulings import Changes, rule_batch
from shared.ledger.write import write

ACTOR = "worker:confirmations"


async def apply_batch(
    connection: Connection, batch: Sequence[Incoming], shops: Mapping[str, Shop], *, now: datetime
) -> Changes:
    """Apply a batch whole or not at all. Raises TransientConflict when another worker claimed an event meanwhile.

    Requirements that paid before are looked for only once there is one: it hardly ever happens.
    """
    try:
        return await _apply(connection, batch, shops, now=now, with_spent=False)
    except RequirementSpent:
        return await _apply(connection, batch, shops, now=now, with_spent=True)


async def _apply(
    connection: Connection, batch: Sequence[Incoming], shops: Mapping[str, Shop], *, now: datetime, with_spent: bool
) -> Changes:
    async with connection.transaction():
        books = await load_books(connection, batch, with_spent=with_spent)
        changes = rule_batch(batch, books, shops, now=now)
        await write(connection, changes, actor=ACTOR, now=now)
    return changes
