"""Finds payments whose webhook never came: asks the platform about the sessions of orders that are pending for long.

A part of `kessai worker reconcile`, and what `kessai reconcile sweep` does by hand. One sweep at a time for an
endpoint, a turn a minute with so many looks at most, whichever process they run in.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, TypeVar

import structlog

from shared.errors import KessaiError
from shared.ledger import sweeps
from shared.ledger.checkout_states import AttemptFact
from shared.ledger.database import Connection, UnacceptableRow
from shared.ledger.hosted_sessions import StatedSession, merchant_untold
from shared.ledger.sweep_rules import Ended, Finding, Heard, Later, Missed, Silence, Taken, Terms, put_off
from shared.ledger.sweeps import Due
from shared.observe.admin import READY, Readiness
from shared.sdrp.api.access import Access
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.transport import Transport
from workers.books import PatientBooks
from workers.platform_sessions import PATIENCE, NotSaid, PlatformAway, SessionRefused, ask, backoff

TURN: Final = timedelta(seconds=60)
"""From the begin of a turn to that of the next."""
IDLE_SECONDS: Final = 5.0
"""Between two questions whose turn it is."""
RETRY_SECONDS: Final = 60.0
NAMED: Final = 5
"""Sessions that failed, at most, that `/readyz` names: the newest."""

T = TypeVar("T")
log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.worker")


class Commit(Protocol):
    async def __call__(self, work: Callable[[Connection], Awaitable[T]], /) -> T:
        """Run a unit of work that commits or changes nothing."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look came to."""

    endpoint: str
    order_id: str
    attempt: int
    session_id: str
    session_status: str | None
    """None where the platform knows no such session, or would not say."""
    found: str
    look_again_at: datetime | None = None
    unfit: tuple[str, ...] = ()
    """Fields for which the order cannot take what was paid."""
    is_unsaid: bool = False
    """Nothing was learnt; `found` says why."""


class Shop:
    """The sessions of one endpoint."""

    def __init__(
        self,
        client: MerchantClient,
        endpoint: str,
        terms: Terms,
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
            return await self._put_off(due, _fault(error), is_dry=is_dry)
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
        return replace(self._told(due, None, why, again), is_unsaid=True)

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
                return self._told(due, session, "nothing yet" if silence is None or is_unknown else silence.why, at)
            case Ended(fact):
                return self._told(due, session, "unknown to Siglume" if is_unknown else fact.value)
            case Missed(unfit):
                return self._told(due, session, "missed webhook", unfit=unfit)
            case Taken():
                return self._told(due, session, "paid")
            case Heard():
                return self._told(due, session, "known")
            case None:
                return self._told(due, session, "looked at by another")

    def _told(
        self,
        due: Due,
        session: StatedSession | None,
        found: str,
        again: datetime | None = None,
        unfit: tuple[str, ...] = (),
    ) -> Look:
        status = session.status if session is not None else None
        order_id, attempt = due.order.order_id, due.attempt.attempt
        return Look(self.endpoint, order_id, attempt, due.session_id, status, found, again, unfit)


class Sweep:
    """Sweeps the sessions of every endpoint until stopped."""

    def __init__(
        self,
        books: PatientBooks,
        accesses: Sequence[tuple[str, Access, Terms]],
        *,
        per_minute: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        idle: float = IDLE_SECONDS,
    ) -> None:
        """`accesses`: each endpoint with its merchant's token, and how its sessions are looked at."""
        self._books = books
        self._accesses = accesses
        self._per_minute = per_minute
        self._clock = clock
        self._idle = idle
        self._away: dict[str, str] = {}
        self._unsaid: dict[str, Look] = {}
        """By session."""

    async def run(self, stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            shops = [await self._shop(stack, *each) for each in self._accesses]
            for shop in shops:
                if shop.terms.merchant is None:
                    log.warning("sweep.no_merchant", endpoint=shop.endpoint, error=merchant_untold(shop.endpoint))
            while not stop.is_set():
                pause = self._idle
                for shop in shops:
                    if not await self._turn(shop, stop):
                        pause = RETRY_SECONDS
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)

    def readiness(self) -> Readiness:
        """A platform that is away makes no worker ill: it is asked again."""
        degraded = {f"siglume of {endpoint}": why for endpoint, why in self._away.items()}
        degraded |= {f"session {look.session_id}": look.found for look in self._put_off()[-NAMED:]}
        return Readiness(degraded=degraded) if degraded else READY

    async def _turn(self, shop: Shop, stop: asyncio.Event) -> bool:
        """False when the books would not have it."""
        try:
            looks = await shop.turn(stop, self._note)
        except PlatformAway as away:
            log.warning("sweep.platform_away", endpoint=shop.endpoint, error=str(away))
            self._away[shop.endpoint] = str(away)
            return True
        except KessaiError as error:
            log.error("sweep.failed", endpoint=shop.endpoint, error=str(error))
            return False
        except Exception as error:  # whatever is wrong here must not end the roles beside it
            log.exception("sweep.fault", endpoint=shop.endpoint)
            self._away[shop.endpoint] = _fault(error)
            return False
        if looks is not None:
            self._away.pop(shop.endpoint, None)
        if looks:
            log.info("sweep.turn", endpoint=shop.endpoint, looks=len(looks))
        return True

    def _note(self, look: Look) -> None:
        _log(look)
        self._unsaid = {each.session_id: each for each in self._put_off() if each.session_id != look.session_id}
        if look.is_unsaid:
            self._unsaid[look.session_id] = look

    def _put_off(self) -> list[Look]:
        """Until they are asked about again."""
        now = self._clock()
        return [look for look in self._unsaid.values() if look.look_again_at is not None and look.look_again_at > now]

    async def _shop(self, stack: AsyncExitStack, endpoint: str, access: Access, terms: Terms) -> Shop:
        transport = await stack.enter_async_context(Transport(access, patience=PATIENCE, connections=1))
        client = MerchantClient(transport)
        return Shop(client, endpoint, terms, self._books.committing, per_minute=self._per_minute, clock=self._clock)


def _fault(error: Exception) -> str:
    return f"a fault of Kessai: {type(error).__name__}"


def _log(look: Look) -> None:
    """What nobody would know without the sweep."""
    if look.session_status in (None, AttemptFact.PAID):
        where = {"endpoint": look.endpoint, "order_id": look.order_id, "session_id": look.session_id}
        log.warning("sweep.found", **where, found=look.found)
