"""Is such a token in the books at all? One question at a time, for however many strangers there are.

Whoever comes while a question is out is in the next one, so that what strangers cost the books is bounded, whatever
their number, their addresses and their tokens.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeAlias

from shared.ledger.database import Connection, Pool, connected

PAUSE: Final = 0.05
"""Seconds between two questions; the longest that a live token which is new to this process waits for others."""

Held: TypeAlias = Callable[[Connection, Collection[bytes]], Awaitable[set[bytes]]]
"""Which of these digests are those of tokens."""


class Sieve:
    def __init__(self, pool: Pool, held: Held) -> None:
        self._pool = pool
        self._held = held
        self._lane = asyncio.Lock()
        self._free_at = 0.0
        self._asked: set[bytes] = set()
        self._question: asyncio.Task[set[bytes]] | None = None
        """The next one, to which digests may still be added."""

    async def holds(self, digest: bytes) -> bool:
        """Raises KessaiError when the books cannot say."""
        if self._question is None:
            self._asked = set()
            self._question = asyncio.create_task(self._ask(self._asked))
        self._asked.add(digest)
        return digest in await asyncio.shield(self._question)

    async def _ask(self, digests: set[bytes]) -> set[bytes]:
        clock = asyncio.get_running_loop().time
        async with self._lane:
            await asyncio.sleep(self._free_at - clock())
            self._question = None
            try:
                async with connected(self._pool) as connection:
                    return await self._held(connection, digests)
            finally:
                self._free_at = clock() + PAUSE
