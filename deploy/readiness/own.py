"""Is Kessai itself ready? What `kessai doctor` finds, and whether the test delivery came through to the books."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final, NamedTuple

from deploy.cli.books import commit, open_books
from deploy.doctor.examine import examine
from deploy.doctor.finding import Finding, Health
from deploy.readiness.check import Check, Status, failed, judged, passed
from shared.errors import KessaiError
from shared.ledger import events, receipts
from shared.ledger.books import Outcome
from shared.ledger.database import Connection
from shared.ledger.proof import signed_at

PROBE: Final = "kessai_probe_in_books"
CLOCK: Final = "kessai_clock_against_siglume"
SECONDS: Final = 10.0
"""For the way from the door into the books."""
LOOK_EVERY: Final = 0.25
CLOCK_TOLERANCE: Final = 60.0
"""Seconds; the door tolerates 300."""

_STATUSES: Final = {Health.OK: Status.PASS, Health.WARN: Status.WARN, Health.FAIL: Status.FAIL}


class _Came(NamedTuple):
    outcome: str
    key_fingerprint: str | None
    """None when its bytes are not kept."""
    received_at: datetime
    signed_at: datetime | None


async def own_checks() -> AsyncIterator[Check]:
    async for finding in examine():
        yield as_check(finding)


async def probe_checks(endpoint: str, event_id: str, *, within: float = SECONDS) -> list[Check]:
    """What became of a test event that the door has taken."""
    try:
        came = await _came(endpoint, event_id, within=within)
    except KessaiError as error:
        return [failed(PROBE, f"{error}.")]
    if came is None:
        return [failed(PROBE, f"Not in the books after {within:g} s: run `kessai worker confirmations`.")]
    if came.outcome != Outcome.IGNORED:
        return [failed(PROBE, f"The test event {event_id} came to {came.outcome}, not to ignored: report it.")]
    checks = [passed(PROBE, f"ready; vouched for by secret {came.key_fingerprint}")]
    if came.signed_at is not None:
        checks.append(_clock((came.received_at - came.signed_at).total_seconds()))
    return checks


def _clock(seconds: float) -> Check:
    """Between Siglume's signature and our receipt; the way itself takes part of it."""
    fault = None
    if abs(seconds) > CLOCK_TOLERANCE:
        fault = f"Signed {seconds:.0f} s before it was received: let the ingress follow NTP; at 300 s it refuses all."
    return judged(CLOCK, fault)


def as_check(finding: Finding) -> Check:
    message = finding.found if finding.advice is None else f"{finding.found}: {finding.advice}"
    return Check(f"kessai_{finding.name}", _STATUSES[finding.health], message)


async def _came(endpoint: str, event_id: str, *, within: float) -> _Came | None:
    deadline = asyncio.get_running_loop().time() + within
    async with open_books() as pool:
        while True:
            found = await commit(pool, lambda connection: _look(connection, endpoint, event_id))
            if found is not None or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(LOOK_EVERY)


async def _look(connection: Connection, endpoint: str, event_id: str) -> _Came | None:
    wanted = events.EventFilter(endpoint=endpoint, event_id=event_id)
    found = await events.search(connection, wanted, limit=1)
    if not found:
        return None
    kept = await receipts.of_event(connection, endpoint, event_id)
    if not kept:
        return _Came(found[0].outcome, None, found[0].received_at, None)
    return _Came(found[0].outcome, kept[0].key_fingerprint, kept[0].received_at, signed_at(kept[0].signature))
