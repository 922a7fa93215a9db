"""How far is an attempt at an order's payment, and what is due next? Pure: a table of moves, and one decision.

States only move forward. Whether the order is paid its own state says (transitions.py), by the webhook; an attempt that
is `paid` is what the platform says of its session, which for micro and nano is no revenue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from shared.ledger.books import Row
from shared.sdrp.signature import TOLERANCE_SECONDS


class AttemptState(StrEnum):
    CREATING = "creating"
    """It has its nonce; nothing is known yet that a buyer could pay."""
    OPEN = "open"
    """A session or a challenge is there to be paid."""
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    """By the buyer, on the platform's page."""
    FAILED = "failed"
    PAID = "paid"
    """The platform took the payment."""


class AttemptFact(StrEnum):
    """What comes to be known of an attempt."""

    OPENED = "opened"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    PAID = "paid"


ACTIVE: Final = frozenset({AttemptState.CREATING, AttemptState.OPEN})
"""An order has one attempt at most that is."""
CLOCK_TOLERANCE: Final = timedelta(seconds=TOLERANCE_SECONDS)
"""How far the platform's clock and ours may differ: the same tolerance as for the signature of a webhook."""
_ENDS: Final[Mapping[AttemptFact, AttemptState]] = {
    fact: AttemptState(fact) for fact in AttemptFact if fact is not AttemptFact.OPENED
}


def next_attempt_state(state: AttemptState, fact: AttemptFact) -> AttemptState:
    """What `fact` makes of an attempt in `state`; the same state when it comes too late.

    Only a payment is believed of an attempt that is over: money that came late came all the same.
    """
    if fact is AttemptFact.PAID:
        return AttemptState.PAID
    if state not in ACTIVE:
        return state
    return _ENDS.get(fact, AttemptState.OPEN)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of the books."""

    order_id: str
    attempt: int
    nonce: str
    state: AttemptState
    tries: int
    leased_until: datetime
    success_url: str | None
    cancel_url: str | None
    session_id: str | None
    checkout_url: str | None
    challenge_hash: str | None
    expires_at: datetime | None
    trusted_until: datetime | None

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def over_at(self) -> datetime | None:
        """From when on nobody can pay its session, by all that was said of it and whichever clock is right."""
        return None if self.trusted_until is None else self.trusted_until + CLOCK_TOLERANCE

    def is_over(self, now: datetime) -> bool:
        return self.over_at is not None and self.over_at <= now

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**{name: row[name] for name in cls.__slots__} | {"state": AttemptState(row["state"])})


class Step(StrEnum):
    """What a request that starts a payment must do."""

    BEGIN = "begin"
    """A new attempt, under the next nonce."""
    CREATE = "create"
    """A session for the attempt there is, under its own nonce: whoever asked for it before did not come back."""
    REUSE = "reuse"
    """The session there is."""
    LOOK = "look"
    """Ask the platform whether the session there is can still be paid."""
    WAIT = "wait"
    """For the request that asks the platform right now."""
    REFUSE = "refuse"
    """The session there is was paid, as the platform says: only its webhook is missing, or a person's decision."""


def next_step(newest: Attempt | None, *, now: datetime, is_doubted: bool, is_rejected: bool = False) -> Step:
    """What is due for an order that may be paid. `is_doubted`: the open session must be looked at first.

    `is_rejected`: a person has decided that what was paid is not for this order.
    """
    if newest is None:
        return Step.BEGIN
    if newest.state is AttemptState.PAID:
        return Step.BEGIN if is_rejected else Step.REFUSE
    if not newest.is_active:
        return Step.BEGIN
    if newest.trusted_until is not None and newest.trusted_until > now and not is_doubted:
        return Step.REUSE
    if newest.leased_until > now:
        return Step.WAIT
    return Step.CREATE if newest.session_id is None else Step.LOOK


def nonce_of(order_id: str, attempt: int) -> str:
    """Stable, another for every attempt of every order, and without a colon, which would part a challenge."""
    return f"{order_id.replace('%', '%25').replace(':', '%3A')}-attempt_{attempt}"
