"""Do the books hold this token? One query at a time for all unknown tokens, however many callers send them.

Callers that arrive while a query runs share the next one, so that unknown tokens cost the books a bounded amount,
whatever their number and their addresses.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeAlias

from shared.ledger.database import Connection, Pool, connected

PAUSE: Final = 0.05
"""Seconds between two queries; a live token that is new to this process waits at most so long for other callers."""

FindTokens: TypeAlias = Callable[[Connection, Collection[bytes]], Awaitable[set[bytes]]]
"""Returns those of the digests that belong to tokens in the books."""


class TokenLookupBatcher:
    def __init__(self, pool: Pool, find: FindTokens) -> None:
        self._pool = pool
        self._find = find
        self._lock = asyncio.Lock()
        self._next_at = 0.0
        self._batch: set[bytes] = set()
        self._lookup: asyncio.Task[set[bytes]] | None = None
        """The next query, to which digests may still be added."""

    async def holds(self, digest: bytes) -> bool:
        """Whether a token with this digest is in the books. Raises KessaiError when they cannot be read."""
        if self._lookup is None:
            self._batch = set()
            self._lookup = asyncio.create_task(self._run(self._batch))
        self._batch.add(digest)
        return digest in await asyncio.shield(self._lookup)

    async def _run(self, digests: set[bytes]) -> set[bytes]:
        clock = asyncio.get_running_loop().time
        async with self._lock:
            await asyncio.sleep(self._next_at - clock())
            self._lookup = None
            try:
                async with connected(self._pool) as connection:
                    return await self._find(connection, digests)
            finally:
                self._next_at = clock() + PAUSE
