"""Is a webhook secret still needed? Pure: what is configured, what came, what Siglume says in; a sentence for each out.

A retired secret must take no honest webhook with it. So a secret may go once Siglume is known to sign with another one
that vouched for what came in the last day while this one was not needed; without Siglume's word, after a week of that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.endpoints import Endpoint, EndpointKey
from shared.ledger.tallies import KeyUse


class KeyState(StrEnum):
    LIVE = "live"
    NOT_YET = "not yet"
    OVER = "over"
    REMOVED = "removed"
    """It vouched here, and is configured no more."""
    UNKNOWN = "unknown"
    """Whoever asks holds no secret of this endpoint."""


@dataclass(frozen=True, slots=True)
class KeyStanding:
    endpoint: str
    fingerprint: str
    state: KeyState
    is_signing: bool | None
    """Whether Siglume signs with it; None when that is not known."""
    given_by: str | None
    not_before: datetime | None
    not_after: datetime | None
    first_used: datetime | None
    """Within 30 days, as everything below."""
    last_used: datetime | None
    day: int
    week: int
    month: int
    is_retirable: bool = False
    told: str = ""


def standings(
    endpoints: Mapping[str, Endpoint],
    uses: Sequence[KeyUse],
    signing: Mapping[str, frozenset[str]],
    *,
    now: datetime,
) -> list[KeyStanding]:
    """Every key that is configured or was used, by endpoint.

    `signing` has the fingerprints that Siglume signs an endpoint's webhooks with, where that is known.
    """
    found = list(_unjudged(endpoints, uses, signing, now))
    return [
        _judged(key, [other for other in found if other.endpoint == key.endpoint and other is not key]) for key in found
    ]


def _unjudged(
    endpoints: Mapping[str, Endpoint],
    uses: Sequence[KeyUse],
    signing: Mapping[str, frozenset[str]],
    now: datetime,
) -> Iterator[KeyStanding]:
    used = {(use.endpoint, use.key_fingerprint): use for use in uses}
    for name in sorted({*endpoints, *(use.endpoint for use in uses)}):
        door, signs = endpoints.get(name), signing.get(name)
        keys = {key.fingerprint: key for key in door.keys} if door is not None else {}
        others = [use.key_fingerprint for use in uses if use.endpoint == name and use.key_fingerprint not in keys]
        for fingerprint in [*keys, *others]:
            key = keys.get(fingerprint)
            yield _standing(
                KeyStanding(
                    endpoint=name,
                    fingerprint=fingerprint,
                    state=_state(key, now) if door is not None else KeyState.UNKNOWN,
                    is_signing=None if signs is None else fingerprint in signs,
                    given_by=key.given_by if key else None,
                    not_before=key.not_before if key else None,
                    not_after=key.not_after if key else None,
                    first_used=None,
                    last_used=None,
                    day=0,
                    week=0,
                    month=0,
                ),
                used.get((name, fingerprint)),
            )


def _standing(key: KeyStanding, use: KeyUse | None) -> KeyStanding:
    if use is None:
        return key
    return replace(key, first_used=use.first_used, last_used=use.last_used, day=use.day, week=use.week, month=use.month)


def _state(key: EndpointKey | None, now: datetime) -> KeyState:
    if key is None:
        return KeyState.REMOVED
    if key.is_over(now):
        return KeyState.OVER
    return KeyState.LIVE if key.has_begun(now) else KeyState.NOT_YET


def _judged(key: KeyStanding, others: Sequence[KeyStanding]) -> KeyStanding:
    is_retirable, told = _verdict(key, others)
    return replace(key, is_retirable=is_retirable, told=told)


def _verdict(key: KeyStanding, others: Sequence[KeyStanding]) -> tuple[bool, str]:
    if key.is_signing and key.state is not KeyState.LIVE:
        return False, "Siglume signs with it, and it is not live: its webhooks are refused. Make it live."
    if key.is_signing:
        return False, "Siglume signs with it: keep it."
    if key.state is KeyState.REMOVED:
        return False, "Retired: it is not configured here any more."
    if key.state is KeyState.NOT_YET:
        return False, "Not valid yet: keep it."
    if key.state is KeyState.OVER:
        return True, "Its window is over: it vouches for nothing any more. Remove it."
    successors = [other for other in others if other.is_signing and other.state is KeyState.LIVE]
    if successors:
        return _beside(successors[0], key)
    return _by_use(key, others)


def _beside(successor: KeyStanding, key: KeyStanding) -> tuple[bool, str]:
    """Siglume is known to sign with another one, which is live."""
    if key.day:
        return False, f"Siglume signs with {successor.fingerprint}, but this one was needed within 24 h: keep it."
    if not successor.day:
        return False, f"Keep it until {successor.fingerprint} has vouched: `kessai readiness` sends a test event."
    return True, f"Safe to retire: Siglume signs with {successor.fingerprint}, which vouched for the last 24 h alone."


def _by_use(key: KeyStanding, others: Sequence[KeyStanding]) -> tuple[bool, str]:
    if key.week:
        return False, "In use: keep it." if key.day else "Used within the last 7 days: keep it."
    if not any(other.week for other in others):
        return False, "Keep it: no other key of this endpoint was used in the last 7 days."
    if key.last_used is None:
        return (
            False,
            "Not used within 30 days: keep it if it is the next one, else see what Siglume signs with.",
        )
    return True, "Safe to retire: nothing came under it for 7 days, and another key of this endpoint is in use."
