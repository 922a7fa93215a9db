"""Finds payments whose webhook never came: asks the platform about the sessions of orders that are pending for long.

The looks of one endpoint, for the worker role and for `kessai reconcile sweep`. One sweep at a time for an endpoint, a
turn a minute with so many looks at most, whichever process they run in.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol, TypeVar

import structlog

from shared.errors import KessaiError
from shared.ledger import sweeps
from shared.ledger.database import Connection, UnacceptableRow
from shared.ledger.hosted_sessions import StatedSession
from shared.ledger.sweep_rules import Ended, Finding, Heard, Later, Missed, Silence, SweepTerms, Taken, put_off
from shared.ledger.sweeps import Due
from shared.sdrp.api.clients import MerchantClient
from workers.platform_sessions import NotSaid, PlatformAway, SessionRefused, ask, backoff

TURN: Final = timedelta(seconds=60)
"""From the begin of a turn to that of the next."""

T = TypeVar("T")
log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.worker")


class Commit(Protocol):
    async def __call__(self, work: Callable[[Connection], Awaitable[T]], /) -> T:
        """Run a unit of work that commits or changes nothing."""


class LookResult(StrEnum):
    """What a look came to, in few words that can be counted."""

    NOTHING_YET = "nothing_yet"
    OVER = "over"
    """Nobody pays in this session any more."""
    MISSED = "missed"
    """Paid without a webhook: a person decides."""
    PAID = "paid"
    """Paid without a webhook: the order took it."""
    KNOWN = "known"
    """Paid, and the books know it."""
    OVERTAKEN = "overtaken"
    """By another's look."""
    UNSAID = "unsaid"
    """Nothing was learnt."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look came to."""

    endpoint: str
    order_id: str
    attempt: int
    session_id: str
    session_status: str | None
    """None where the platform knows no such session, or would not say."""
    result: LookResult
    found: str
    """The same in words, or why nothing was learnt."""
    look_again_at: datetime | None = None
    unfit: tuple[str, ...] = ()
    """Fields for which the order cannot take what was paid."""

    @property
    def is_unsaid(self) -> bool:
        return self.result is LookResult.UNSAID


class SweptEndpoint:
    """The sessions of one endpoint."""

    def __init__(
        self,
        client: MerchantClient,
        endpoint: str,
        terms: SweepTerms,
        commit: Commit,
        *,
        per_minute: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self.endpoint = endpoint
        self.terms = terms
        self._commit = commit
        self._per_minute = per_minute
        self._clock = clock

    async def turn(self, stop: asyncio.Event, tell: Callable[[Look], None] = lambda _: None) -> Sequence[Look] | None:
        """Look at those that are due; None when it is not our turn. Raises PlatformAway."""
        began = self._clock()
        return await self.in_turn(stop, began, lambda connection: self._due(connection, began), tell)

    async def in_turn(
        self,
        stop: asyncio.Event,
        began: datetime,
        which: Callable[[Connection], Awaitable[Sequence[Due]]],
        tell: Callable[[Look], None] = lambda _: None,
    ) -> Sequence[Look] | None:
        """The same with other sessions; `tell` hears of each look at once. Raises PlatformAway."""
        failures = await self._commit(lambda connection: sweeps.take_turn(connection, self.endpoint, now=began))
        if failures is None:
            return None
        next_turn_at = began + TURN
        await self._commit(self.close_heard)
        due = await self._commit(which)
        looks, away = await self.look_at(due, tell, while_=lambda: not stop.is_set() and self._clock() < next_turn_at)
        if away is None:
            await self._end_turn(next_turn_at, 0)
            return looks
        in_a_row = failures if all(look.is_unsaid for look in looks) else 0
        seconds = max(away.retry_after or 0.0, backoff(in_a_row))
        await self._end_turn(self._clock() + timedelta(seconds=seconds), in_a_row + 1)
        raise away

    async def look_at(
        self,
        due: Sequence[Due],
        tell: Callable[[Look], None],
        *,
        while_: Callable[[], bool] = lambda: True,
        is_dry: bool = False,
    ) -> tuple[list[Look], PlatformAway | None]:
        """What the looks came to, and why the platform counts as away: it failed for two sessions, or for every one.

        A session that it failed for is put off, so that it keeps nobody from being looked at for longer.
        """
        looks: list[Look] = []
        failed: list[tuple[Due, PlatformAway]] = []
        for each in due:
            if not while_():
                break
            try:
                looks.append(await self.look(each, is_dry=is_dry))
                tell(looks[-1])
            except PlatformAway as away:
                failed.append((each, away))
                if away.is_of_all or len(failed) > 1:
                    break
        last = failed[-1][1] if failed else None
        is_away = last is not None and (last.is_of_all or len(failed) > 1 or not looks)
        for each, error in failed:
            looks.append(await self._put_off(each, error.why, is_dry=is_dry))
            tell(looks[-1])
        return looks, last if is_away else None

    async def close_heard(self, connection: Connection) -> int:
        """Close the reviews whose webhook came after all."""
        return await sweeps.close_heard(connection, self.endpoint)

    async def run_of(self, connection: Connection, *, began: datetime, skip: int = 0) -> list[Due]:
        """What a person's sweep, which began then, looks at next."""
        return await sweeps.of_run(
            connection, self.endpoint, began=began, after=self.terms.after, limit=self._per_minute, skip=skip
        )

    async def look(self, due: Due, *, is_dry: bool = False) -> Look:
        """Ask, and write down what follows; nothing of that when it is dry. Raises PlatformAway."""
        try:
            session = await self._ask(due)
            now = self._clock()
            what = sweeps.foresee if is_dry else sweeps.settle
            finding = await self._commit(lambda connection: what(connection, due, session, self.terms, now=now))
        except (NotSaid, UnacceptableRow) as error:
            return await self._put_off(due, str(error), is_dry=is_dry)
        except KessaiError:
            raise
        except Exception as error:  # whatever is wrong with one session must not end the looks at the others
            log.exception("sweep.fault", endpoint=self.endpoint, session_id=due.session_id)
            return await self._put_off(due, fault_of(error), is_dry=is_dry)
        return self._looked(due, session, finding)

    async def _ask(self, due: Due) -> StatedSession | Silence:
        """Raises PlatformAway, NotSaid."""
        try:
            return await ask(self._client, due.session_id) or Silence("Siglume does not know it", is_unknown=True)
        except SessionRefused as refused:
            return Silence(str(refused))

    async def _put_off(self, due: Due, why: str, *, is_dry: bool) -> Look:
        """Others must not wait behind one that nothing can be made of."""
        now = self._clock()
        again = now + put_off(due.unsaid)
        if not is_dry:
            await self._commit(lambda connection: sweeps.put_off(connection, due, until=again, now=now))
        return self._told(due, None, LookResult.UNSAID, why, again)

    async def _due(self, connection: Connection, now: datetime) -> list[Due]:
        after = self.terms.after
        await sweeps.pass_over(connection, self.endpoint, now=now, after=after)
        return await sweeps.due(connection, self.endpoint, now=now, after=after, limit=self._per_minute)

    async def _end_turn(self, next_turn_at: datetime, failures: int) -> None:
        await self._commit(
            lambda connection: sweeps.end_turn(connection, self.endpoint, next_turn_at=next_turn_at, failures=failures)
        )

    def _looked(self, due: Due, said: StatedSession | Silence, finding: Finding | None) -> Look:
        session, silence = (None, said) if isinstance(said, Silence) else (said, None)
        is_unknown = silence is not None and silence.is_unknown
        match finding:
            case Later(at):
                why = "nothing yet" if silence is None or is_unknown else silence.why
                return self._told(due, session, LookResult.NOTHING_YET, why, at)
            case Ended(fact):
                why = "unknown to Siglume" if is_unknown else fact.value
                return self._told(due, session, LookResult.OVER, why)
            case Missed(unfit):
                return self._told(due, session, LookResult.MISSED, "missed webhook", unfit=unfit)
            case Taken():
                return self._told(due, session, LookResult.PAID, "paid")
            case Heard():
                return self._told(due, session, LookResult.KNOWN, "known")
            case None:
                return self._told(due, session, LookResult.OVERTAKEN, "looked at by another")

    def _told(
        self,
        due: Due,
        session: StatedSession | None,
        result: LookResult,
        found: str,
        again: datetime | None = None,
        unfit: tuple[str, ...] = (),
    ) -> Look:
        status = session.status if session is not None else None
        order_id, attempt = due.order.order_id, due.attempt.attempt
        return Look(self.endpoint, order_id, attempt, due.session_id, status, result, found, again, unfit)


def fault_of(error: Exception) -> str:
    return f"a fault of Kessai: {type(error).__name__}"
