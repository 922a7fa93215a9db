"""One run: read what the platform states, tell orders what became of their batches, compare both sides, count buyers.

Every step is a transaction of its own and does no harm when it is done again, so a run may end anywhere.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from shared.errors import KessaiError
from shared.ledger.database import Connection
from shared.ledger.revenue import comparing, syncs, totals
from shared.ledger.revenue.exposed import count_exposed
from shared.ledger.revenue.exposure import WARNING
from shared.ledger.revenue.settling import settle_orders
from shared.ledger.revenue.totals import TOKENS, booked_totals, compare_totals
from shared.sdrp.api.batches import Receivables
from shared.sdrp.api.clients import ProviderClient
from shared.sdrp.api.errors import SiglumeApiError, UnusableAnswer
from workers.reconcile.reading import Clock, Reader, Watch
from workers.reconcile.result import Reconciled

HARD: Final = frozenset({401, 403, 429})
"""Refusals of a summary that the lists would meet, too."""


class ReconcilesElsewhere(KessaiError):
    """Another worker or command is at the same endpoint."""


async def reconcile(
    connection: Connection,
    client: ProviderClient,
    result: Reconciled,
    *,
    clock: Clock,
    watch: Watch = lambda _what, _rows: None,
    since: datetime | None = None,
    whole: bool = False,
    warning: Decimal = WARNING,
) -> None:
    """Read, settle and compare; `result` counts. `warning` is the share of a threshold that exposes its buyer.

    What was read settles orders even where a list ended in an error; only complete ones are compared. Raises
    ReconcilesElsewhere and SiglumeApiError.
    """
    endpoint = result.endpoint
    if not await syncs.take_turn(connection, endpoint):
        raise ReconcilesElsewhere(f"the statements of {endpoint} are being read already: try again later")
    reader = Reader(connection, endpoint, client, clock, result, watch, since, whole)
    before = await _summaries(client, result)
    failed = await _read(reader)
    await _settle(connection, result, clock)
    if failed is not None:
        raise failed
    asked_at = clock()
    after = await _summaries(client, result) if before else {}
    compared = await comparing.compare(connection, endpoint, now=clock(), since=since)
    if compared.paired:
        await _settle(connection, result, clock)
    result.compared = compared
    result.totals = compare_totals(before, after, await booked_totals(connection, endpoint))
    await totals.keep(connection, endpoint, after, result.totals, stated_at=asked_at)
    result.exposed = await count_exposed(connection, endpoint, warning, now=clock())
    result.finished_at = clock()


async def _read(reader: Reader) -> SiglumeApiError | None:
    """Why a list did not come to its end, if so. One that makes no sense keeps the other from nothing."""
    failed: SiglumeApiError | None = None
    for read in (reader.read_batches, reader.read_usage):
        try:
            await read()
        except UnusableAnswer as error:
            failed = failed or error
        except SiglumeApiError as error:
            return failed or error
    return failed


async def _settle(connection: Connection, result: Reconciled, clock: Clock) -> None:
    more = True
    while more:
        told = await settle_orders(connection, result.endpoint, now=clock())
        result.moved += told.moved
        more = told.more


async def _summaries(client: ProviderClient, result: Reconciled) -> Mapping[str, Receivables]:
    """By token. A platform that sums nothing up, or takes too long over it, is no reason to read nothing."""
    try:
        return {token: (await client.get_provider_metered_summary(token_symbol=token)).totals for token in TOKENS}
    except SiglumeApiError as error:
        if error.status in HARD:
            raise
        result.notes.append(f"Siglume's own totals were not compared: {error}")
        return {}
