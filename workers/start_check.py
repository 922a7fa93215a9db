"""Ends a worker that no wait can help: its books are missing, or a right to them."""

import asyncio

from shared.ledger.rights import require_usable
from shared.observe.admin import READY, Readiness
from workers.database import RetryingDatabase


class StartCheck:
    """Runs beside the roles, because Postgres may be away when the worker starts."""

    def __init__(self, books: RetryingDatabase) -> None:
        self._books = books

    async def run(self, stop: asyncio.Event) -> None:
        """Raises BooksUnusable, which ends the process."""
        await self._books.run(require_usable)
        await stop.wait()

    def readiness(self) -> Readiness:
        return READY
