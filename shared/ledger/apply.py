"""One batch of events, one transaction: look up, rule, write."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.ledger.books import Shop
from shared.ledger.changes import Changes
from shared.ledger.database import Connection
from shared.ledger.effects import NotLookedFor
from shared.ledger.incoming import Incoming
from shared.ledger.lookup import load_books
from shared.ledger.rulings import rule_batch
from shared.ledger.write import write

ACTOR = "worker:confirmations"


async def apply_batch(
    connection: Connection, batch: Sequence[Incoming], shops: Mapping[str, Shop], *, now: datetime
) -> Changes:
    """Apply a batch whole or not at all. Raises TransientConflict when another worker claimed an event meanwhile.

    What hardly ever is in the books is looked for only once it shows itself: no other batch pays for the look.
    """
    try:
        return await _apply(connection, batch, shops, now=now, thorough=False)
    except NotLookedFor:
        return await _apply(connection, batch, shops, now=now, thorough=True)


async def _apply(
    connection: Connection, batch: Sequence[Incoming], shops: Mapping[str, Shop], *, now: datetime, thorough: bool
) -> Changes:
    async with connection.transaction():
        books = await load_books(connection, batch, thorough=thorough)
        changes = rule_batch(batch, books, shops, now=now)
        await write(connection, changes, actor=ACTOR, now=now)
    return changes
