"""Is a webhook secret still needed? Pure: what came under each key in, a sentence for each out."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.ledger.tallies import KeyUse


@dataclass(frozen=True, slots=True)
class Judged:
    use: KeyUse
    is_retirable: bool
    told: str


def judged(uses: Sequence[KeyUse]) -> list[Judged]:
    """A key may go when another one of its endpoint is in use and it was not for a week."""
    return [_judged(use, [other for other in uses if other.endpoint == use.endpoint and other != use]) for use in uses]


def _judged(use: KeyUse, others: Sequence[KeyUse]) -> Judged:
    if use.week:
        told = "In use: keep it." if use.day else "Used within the last 7 days: keep it."
        return Judged(use, is_retirable=False, told=told)
    if any(other.week for other in others):
        told = "Safe to retire: nothing came under it for 7 days, and another key of this endpoint is in use."
        return Judged(use, is_retirable=True, told=told)
    return Judged(use, is_retirable=False, told="Keep it: no other key of this endpoint was used in the last 7 days.")
