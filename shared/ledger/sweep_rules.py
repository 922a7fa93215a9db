"""What follows from a look at a session whose webhook has not come? Pure: what both sides say in, a finding out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from shared.backoff import exponential
from shared.ledger.books import Order
from shared.ledger.checkout_states import AttemptFact
from shared.ledger.hosted_sessions import Payable, StatedSession, following, paid_by, unfit
from shared.ledger.transitions import Move, Nothing

FIRST_PAUSE: Final = timedelta(minutes=10)
LONGEST_PAUSE: Final = timedelta(days=7)
LONGEST_UNSAID: Final = timedelta(hours=2)
"""Until a session is asked about again of which nothing was learnt: it may have been an outage."""
LOOKS_FOR_SETTLEMENT: Final = 6
"""Looks at a paid session of the standard band that wait for its settlement: with growing pauses, some five hours."""

SILENCES: Final = 8
"""Refusals in a row before one ends an attempt whose time is over, with growing pauses some two days: nobody looks at
it again, and a wrong address refuses sessions that were paid, too."""
SILENCES_WHEN_PAID: Final = 3
"""The same before a person is asked about a session that was seen paid before: some hour."""


class SweepPolicy(StrEnum):
    """What becomes of a payment whose webhook is missing."""

    REVIEW = "review"
    """A person decides."""
    APPLY = "apply"
    """The order takes it when everything fits; what does not is a review all the same."""


@dataclass(frozen=True, slots=True)
class SweepTerms:
    """How the sessions of one endpoint are looked at."""

    after: timedelta = timedelta(minutes=30)
    """How long an order may be pending, and a payment without its webhook, before anything is made of it."""
    policy: SweepPolicy = SweepPolicy.REVIEW
    merchant: str | None = None


class Looked(NamedTuple):
    """What the books know as a session is looked at, its order locked."""

    payable: Payable
    looks: int
    """Before this one."""
    paid_looks: int
    """Those of them that found it paid."""
    silences: int
    """The last of them in a row in which the platform would not tell of it."""
    is_paid: bool
    """The platform has said before that it is."""
    is_over: bool
    """What is known of the session says that nobody can pay it any more."""
    is_heard: bool = False
    """Its webhook is in the books after all: applied, or in a review."""
    is_dead_letter: bool = False
    """Its webhook waits among the dead letters, to be replayed or discarded."""
    is_decided: bool = False
    """A person has closed the review of this session, as it is, already."""


class Silence(NamedTuple):
    """The platform tells nothing of a session, and will not."""

    why: str
    is_unknown: bool = False
    """It knows no such session; otherwise it may be that it tells nothing of any, until somebody mends that."""


class Later(NamedTuple):
    """Nothing yet: look again."""

    at: datetime


class Ended(NamedTuple):
    """The attempt is over without a payment."""

    fact: AttemptFact
    because: str | None = None
    """Where the platform does not say so itself: told in a note."""


class Missed(NamedTuple):
    """Paid, and no webhook told so: a person decides."""

    unfit: tuple[str, ...]
    """Fields for which the order could not take it."""


class Taken(NamedTuple):
    """Paid, and the order takes it."""

    order: Order
    """As it stands afterwards."""


class Heard(NamedTuple):
    """Paid, and the books know it or a person has decided on it."""


Finding: TypeAlias = Later | Ended | Missed | Taken | Heard
_UNTOLD: Final = Missed(("status",))
"""Paid by what the platform said before; now it says otherwise, or nothing."""


def find(session: StatedSession | Silence, looked: Looked, terms: SweepTerms, *, now: datetime) -> Finding:
    """What a look comes to."""
    if looked.is_paid or is_paid(session):
        if looked.is_heard or looked.is_decided:
            return Heard()
        if looked.is_dead_letter:
            return Later(now + LONGEST_PAUSE)
    if isinstance(session, Silence):
        return _of_silence(session, looked, now)
    if not is_paid(session):
        return _of_unpaid(session, looked, now)
    return _of_paid(session.believed(now), looked, terms, now)


def is_paid(session: StatedSession | Silence) -> bool:
    return isinstance(session, StatedSession) and session.fact is AttemptFact.PAID


def _of_silence(silence: Silence, looked: Looked, now: datetime) -> Finding:
    """A payment that was seen is not forgotten because nobody tells of it any more."""
    again = Later(now + pause(looked.silences))
    if looked.is_paid:
        return _UNTOLD if looked.silences >= SILENCES_WHEN_PAID else again
    is_believed = silence.is_unknown or looked.silences >= SILENCES
    return Ended(AttemptFact.EXPIRED, silence.why) if looked.is_over and is_believed else again


def _of_unpaid(session: StatedSession, looked: Looked, now: datetime) -> Finding:
    if looked.is_paid:
        return _UNTOLD
    return Later(now + pause(looked.looks)) if session.fact is AttemptFact.OPENED else Ended(session.fact)


def _of_paid(session: StatedSession, looked: Looked, terms: SweepTerms, now: datetime) -> Finding:
    due = session.paid_at + terms.after if session.paid_at is not None else None
    if due is not None and due > now:
        return Later(min(due, now + LONGEST_PAUSE))
    if due is None and looked.paid_looks == 0:
        return Later(now + terms.after)
    differing = unfit(session, looked.payable)
    if session.may_settle and set(differing) == set(session.lacks) and looked.paid_looks < LOOKS_FOR_SETTLEMENT:
        return Later(now + pause(looked.paid_looks))
    if differing or terms.policy is not SweepPolicy.APPLY:
        return Missed(differing)
    return _taken(session, looked.payable)


def pause(looks: int) -> timedelta:
    """Until the next look at a session that was looked at so often before: each time twice as long, to a limit."""
    return exponential(FIRST_PAUSE, looks, limit=LONGEST_PAUSE)


def put_off(unsaid: int) -> timedelta:
    """Until the next look at a session of which nothing was learnt so often before."""
    return min(pause(unsaid), LONGEST_UNSAID)


def _taken(session: StatedSession, payable: Payable) -> Finding:
    """By the table of transitions; what it makes a review of is this review."""
    next_ = following(session, payable)
    if isinstance(next_, Move):
        return Taken(paid_by(session, payable.order, next_))
    return Heard() if isinstance(next_, Nothing) else Missed(())
