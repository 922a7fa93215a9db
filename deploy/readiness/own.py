"""Is Kessai itself ready? What `kessai doctor` finds, and whether the test delivery reached the books."""

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
"""Time for an event from the ingress to the books."""
POLL_SECONDS: Final = 0.25
CLOCK_TOLERANCE: Final = 60.0
"""Seconds; the ingress tolerates 300."""

_STATUSES: Final = {Health.OK: Status.PASS, Health.WARN: Status.WARN, Health.FAIL: Status.FAIL}


class _ProbeRecord(NamedTuple):
    """The test event in the books."""

    outcome: str
    key_fingerprint: str | None
    """None when its bytes are not kept."""
    received_at: datetime
    signed_at: datetime | None


async def own_checks() -> AsyncIterator[Check]:
    async for finding in examine():
        yield as_check(finding)


async def probe_checks(endpoint: str, event_id: str, *, within: float = SECONDS) -> list[Check]:
    """What happened to a test event that the ingress has accepted."""
    try:
        probe = await _wait_for(endpoint, event_id, within=within)
    except KessaiError as error:
        return [failed(PROBE, f"{error}.")]
    if probe is None:
        return [failed(PROBE, f"Not in the books after {within:g} s: run `kessai worker confirmations`.")]
    if probe.outcome != Outcome.IGNORED:
        return [failed(PROBE, f"The test event {event_id} probe to {probe.outcome}, not to ignored: report it.")]
    checks = [passed(PROBE, f"ready; signed with secret {probe.key_fingerprint}")]
    if probe.signed_at is not None:
        checks.append(_clock((probe.received_at - probe.signed_at).total_seconds()))
    return checks


def _clock(seconds: float) -> Check:
    """The seconds from Siglume's signature to our receipt, which include the delivery."""
    fault = None
    if abs(seconds) > CLOCK_TOLERANCE:
        fault = f"Signed {seconds:.0f} s before it was received: let the ingress follow NTP; at 300 s it refuses all."
    return judged(CLOCK, fault)


def as_check(finding: Finding) -> Check:
    message = finding.found if finding.advice is None else f"{finding.found}: {finding.advice}"
    return Check(f"kessai_{finding.name}", _STATUSES[finding.health], message)


async def _wait_for(endpoint: str, event_id: str, *, within: float) -> _ProbeRecord | None:
    deadline = asyncio.get_running_loop().time() + within
    async with open_books() as pool:
        while True:
            found = await commit(pool, lambda connection: _find(connection, endpoint, event_id))
            if found is not None or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(POLL_SECONDS)


async def _find(connection: Connection, endpoint: str, event_id: str) -> _ProbeRecord | None:
    wanted = events.EventFilter(endpoint=endpoint, event_id=event_id)
    found = await events.search(connection, wanted, limit=1)
    if not found:
        return None
    kept = await receipts.of_event(connection, endpoint, event_id)
    if not kept:
        return _ProbeRecord(found[0].outcome, None, found[0].received_at, None)
    return _ProbeRecord(found[0].outcome, kept[0].key_fingerprint, kept[0].received_at, signed_at(kept[0].signature))
