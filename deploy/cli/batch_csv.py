"""The CSV export of a settlement batch: opened as a file or fetched from Siglume, and read row by row."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from deploy.cli.books import with_books
from shared.errors import KessaiError

if TYPE_CHECKING:
    from shared.sdrp.api.access import Access
    from shared.sdrp.api.usage import ProviderUsageEvent

ROWS_AT_ONCE = 500
BYTES_AT_ONCE = 64 * 1024
TRIES = 3
"""Attempts to fetch an export; few, since a person waits."""


class CannotRead(KessaiError):
    """The file is missing or not readable, or is no complete export of the batch."""


@contextmanager
def opened(file: str) -> Iterator[IO[bytes]]:
    """Raises CannotRead."""
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as source:
            yield source
    except OSError as error:
        raise CannotRead(f"cannot read {file}: {error.strerror}") from None


@contextmanager
def fetched(batch_id: str) -> Iterator[IO[bytes]]:
    """Fetch the present export from Siglume into a temporary file; no connection to the books is held meanwhile.

    Raises UnknownBatch, SettingsError where the batch's endpoint has no token, SiglumeApiError and CannotRead.
    """
    from shared.ledger.revenue.csv_check import endpoint_of
    from shared.settings import Settings
    from workers.reconcile.providers import providers_of

    endpoint = with_books(lambda connection: endpoint_of(connection, batch_id))
    access = providers_of(Settings.from_env(), endpoint)[endpoint]
    with ExitStack() as stack:
        try:
            file = stack.enter_context(TemporaryFile())
            asyncio.run(_fetch(access, batch_id, file))
            file.seek(0)
        except OSError as error:
            raise CannotRead(
                f"cannot keep the export of {batch_id}: {error.strerror}; let TMPDIR name a folder with free space"
            ) from None
        yield file


async def _fetch(access: "Access", batch_id: str, file: IO[bytes]) -> None:
    from shared.sdrp.api.clients import ProviderClient
    from shared.sdrp.api.retries import Patience
    from shared.sdrp.api.transport import Transport

    async with (
        Transport(access, patience=Patience(attempts=TRIES)) as transport,
        ProviderClient(transport).provider_usage_csv_bytes(batch_id) as chunks,
    ):
        async for chunk in chunks:
            file.write(chunk)


async def pages(batch_id: str, name: str, source: IO[bytes]) -> "AsyncIterator[list[ProviderUsageEvent]]":
    """Yield rows as they are read. Raises CannotRead where the file is malformed or cut off."""
    from shared.sdrp.api.errors import UnusableAnswer
    from shared.sdrp.api.usage_csv import UsageCsv

    export, page = UsageCsv(batch_id), []
    try:
        while chunk := source.read(BYTES_AT_ONCE):
            for event in export.feed(chunk):
                page.append(event)
                if len(page) == ROWS_AT_ONCE:
                    yield page
                    page = []
        export.finish()
    except UnusableAnswer as error:
        raise CannotRead(f"{name}, line {export.line}: {error}") from None
    yield page
