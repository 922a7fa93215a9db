"""Sends an export to a browser or a program: a few at a time, on connections that pages do not use."""

from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Final

import structlog
from aiohttp import web

from shared.errors import KessaiError
from shared.ledger.database import Pool, connected
from shared.ledger.export_lines import ExportFormat
from shared.ledger.exports import ExportRequest, export

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")

EXPORTS_AT_ONCE: Final = 2
"""Each holds a snapshot of the books and a connection for as long as its reader takes."""
RETRY_AFTER: Final = 30.0
"""Seconds after which a refused caller should try again."""
MEDIA_TYPES: Final = {ExportFormat.CSV: "text/csv", ExportFormat.JSONL: "application/jsonl"}


class TooManyExports(KessaiError):
    def __init__(self, at_once: int) -> None:
        super().__init__(f"{at_once} exports are running, which is the limit: try again when one is done")


class Exporter:
    """Streams exports for the pages and for the API, which share one limit."""

    def __init__(self, pool: Pool, *, at_once: int = EXPORTS_AT_ONCE) -> None:
        """`pool` should have a connection for each of the `at_once` exports, without a short statement timeout."""
        self._pool = pool
        self._at_once = at_once
        self._running = 0

    async def send(
        self, request: web.Request, wanted: ExportRequest, *, filename: str, actor: str, token: str | None = None
    ) -> web.StreamResponse:
        """Stream the rows as they are read. The response begins when Postgres has answered.

        An error after that cuts the connection, so that half a file never looks complete. `token` is the label of the
        API token that was used. Raises TooManyExports and what connected() raises.
        """
        response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{filename}"'})
        response.content_type = MEDIA_TYPES[wanted.form]
        response.charset = "utf-8"
        with self._slot():
            try:
                await self._copy(request, response, wanted, actor, token)
            except Exception as error:
                if not response.prepared:
                    raise
                log.warning("console.export_cut", what=wanted.what, error=type(error).__name__)
                if request.transport is not None:
                    request.transport.abort()
        return response

    async def _copy(
        self, request: web.Request, response: web.StreamResponse, wanted: ExportRequest, actor: str, token: str | None
    ) -> None:
        async with (
            connected(self._pool) as connection,
            aclosing(export(connection, wanted, actor=actor, token=token)) as pages,
        ):
            async for page in pages:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(page.data)
        if not response.prepared:  # there are no rows, and JSON lines have no heading
            await response.prepare(request)
        await response.write_eof()

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Raises TooManyExports; nobody waits in a queue."""
        if self._running >= self._at_once:
            raise TooManyExports(self._at_once)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
