"""A replay as a job: started with a stated reason, watched, paused, resumed, cancelled; every act on record."""

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson

from shared.errors import KessaiError
from shared.ledger import audit
from shared.ledger.database import Connection
from shared.ledger.replays.plans import require_claims
from shared.ledger.replays.terms import DEFAULT_CANARY, DEFAULT_RATE, DEFAULT_STOP_ON_FAIL
from shared.ledger.replays.turn import rewind
from shared.ledger.text import require_why
from shared.remedies import Remedy


class ReplayState(StrEnum):
    PLANNING = "planning"
    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    """By itself: too many events failed again."""
    CANCELLED = "cancelled"
    DONE = "done"


ENDED: Final = frozenset({ReplayState.STOPPED, ReplayState.CANCELLED, ReplayState.DONE})


class Act(StrEnum):
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


MOVES: Final[dict[Act, tuple[frozenset[ReplayState], ReplayState]]] = {
    Act.START: (frozenset({ReplayState.PLANNED}), ReplayState.RUNNING),
    Act.PAUSE: (frozenset({ReplayState.RUNNING}), ReplayState.PAUSED),
    Act.RESUME: (frozenset({ReplayState.PAUSED, ReplayState.STOPPED}), ReplayState.RUNNING),
    Act.CANCEL: (
        frozenset(ReplayState) - {ReplayState.CANCELLED, ReplayState.DONE},
        ReplayState.CANCELLED,
    ),
}
"""Which states an act is possible in, and what it leads to."""


class ReplayNotFound(KessaiError):
    remedy = Remedy.LIST_REPLAYS

    def __init__(self, replay_id: int) -> None:
        super().__init__(f"no plan or job {replay_id}")


class NotPossibleNow(KessaiError):
    def __init__(self, act: Act, replay_id: int, state: ReplayState) -> None:
        froms = " or ".join(sorted(MOVES[act][0]))
        super().__init__(f"replay {replay_id} is {state}: only one that is {froms} can be told to {act}")


class ReplayChanged(KessaiError):
    def __init__(self, act: Act, replay_id: int, state: ReplayState) -> None:
        super().__init__(f"replay {replay_id} is {state} by now: look again, then tell it to {act} if it still should")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a job is to run."""

    why: str
    canary: int = DEFAULT_CANARY
    rate: float | None = DEFAULT_RATE
    """Events a second; None: as fast as they are handled."""
    stop_on_fail: float = DEFAULT_STOP_ON_FAIL
    """Share of events that may fail again."""

    def __post_init__(self) -> None:
        """Raises InvalidWhy."""
        require_why(self.why)


@dataclass(frozen=True, slots=True)
class Replay:
    """A plan or a job as it stands."""

    plan_id: int
    state: ReplayState
    source: str
    filter: dict[str, Any]
    total: int
    sent: int
    """Handed to the broker."""
    done: int
    predicted: dict[str, int]
    """Events by outcome."""
    results: dict[str, int]
    """Events by outcome, of those that are done."""
    planned_by: str
    planned_at: datetime
    why: str | None
    started_by: str | None
    started_at: datetime | None
    rate: float | None
    canary: int
    stop_on_fail: float
    seen_at: datetime | None
    """When a worker last took it up."""
    ended_at: datetime | None
    ended_because: str | None

    @property
    def place(self) -> int:
        return self.plan_id

    @property
    def failed(self) -> int:
        return self.results.get("dead_letter", 0)

    @property
    def in_flight(self) -> int:
        """Results may be there of what a killed worker handed over and did not note."""
        return max(0, self.sent - self.done)


_SELECT = """
SELECT replay_id AS plan_id, state, source, filter, total, next_item - 1 AS sent, predicted,
       (SELECT coalesce(jsonb_object_agg(outcome, events), '{}')
        FROM (SELECT outcome, sum(events)::bigint AS events
              FROM kessai.replay_tallies AS tallies
              WHERE tallies.replay_id = replays.replay_id
              GROUP BY outcome) AS counted) AS results,
       planned_by, planned_at, why, started_by, started_at, rate, canary, stop_on_fail, seen_at, ended_at, ended_because
FROM kessai.replays
"""


async def find(connection: Connection, replay_id: int) -> Replay:
    """Raises ReplayNotFound."""
    row = await connection.fetchrow(f"{_SELECT} WHERE replay_id = $1", replay_id)
    if row is None:
        raise ReplayNotFound(replay_id)
    return _from_row(row)


async def newest(connection: Connection, *, limit: int, before: int | None = None) -> list[Replay]:
    """Plans and jobs, the newest first; `before` is the last id of the page before."""
    rows = await connection.fetch(
        f"""
        {_SELECT}
        WHERE $2::bigint IS NULL OR replay_id < $2
        ORDER BY replay_id DESC
        LIMIT $1
        """,
        limit,
        before,
    )
    return [_from_row(row) for row in rows]


def _from_row(row: Any) -> Replay:  # noqa: ANN401 - a row of _SELECT
    values = dict(row)
    values |= {name: orjson.loads(values[name]) for name in ("filter", "predicted", "results")}
    return Replay(**{**values, "state": ReplayState(values["state"]), "done": sum(values["results"].values())})


async def start(connection: Connection, replay_id: int, terms: Terms, *, actor: str) -> Replay:
    """Hand a plan to the workers. Raises ReplayNotFound, NotPossibleNow, BeyondHorizon."""
    async with connection.transaction():
        await _move(connection, replay_id, Act.START)
        await require_claims(connection, replay_id)
        await connection.execute(
            """
            UPDATE kessai.replays
            SET why = $2, started_by = $3, started_at = now(), rate = $4, canary = least($5, total), stop_on_fail = $6
            WHERE replay_id = $1
            """,
            replay_id,
            terms.why.strip(),
            actor,
            terms.rate,
            terms.canary,
            terms.stop_on_fail,
        )
        await _record(connection, replay_id, Act.START, actor, asdict(terms))
        return await find(connection, replay_id)


async def tell(
    connection: Connection,
    replay_id: int,
    act: Act,
    *,
    actor: str,
    stop_on_fail: float | None = None,
    seen: str | None = None,
) -> Replay:
    """Pause, resume or cancel. Events in flight still come to their end.

    `seen` is the state that the person saw, None when they do not say: to leave a plan is not to end a running job.
    A resumed job hands over again what has no result, and is judged by what it does from then on.
    Raises ReplayNotFound, NotPossibleNow, ReplayChanged.
    """
    async with connection.transaction():
        await _move(connection, replay_id, act, seen=seen)
        if act is Act.RESUME:
            await rewind(connection, replay_id)
            await connection.execute(
                "UPDATE kessai.replays SET judged_from = next_item - 1 WHERE replay_id = $1", replay_id
            )
        if stop_on_fail is not None:
            await connection.execute(
                "UPDATE kessai.replays SET stop_on_fail = $2 WHERE replay_id = $1", replay_id, stop_on_fail
            )
        detail = {} if stop_on_fail is None else {"stop_on_fail": stop_on_fail}
        await _record(connection, replay_id, act, actor, detail)
        return await find(connection, replay_id)


async def _move(connection: Connection, replay_id: int, act: Act, *, seen: str | None = None) -> None:
    states, following = MOVES[act]
    state = await connection.fetchval("SELECT state FROM kessai.replays WHERE replay_id = $1 FOR UPDATE", replay_id)
    if state is None:
        raise ReplayNotFound(replay_id)
    if state not in states:
        raise NotPossibleNow(act, replay_id, ReplayState(state))
    if (seen == ReplayState.PLANNED) != (state == ReplayState.PLANNED) and seen is not None:
        raise ReplayChanged(act, replay_id, ReplayState(state))
    await connection.execute(
        """
        UPDATE kessai.replays
        SET state = $2, ended_at = CASE WHEN $2 = 'cancelled' THEN now() END,
            ended_because = CASE WHEN $2 = 'cancelled' THEN 'cancelled' END
        WHERE replay_id = $1
        """,
        replay_id,
        following,
    )


async def _record(connection: Connection, replay_id: int, act: Act, actor: str, detail: dict[str, Any]) -> None:
    await audit.record(connection, actor=actor, action=f"replay.{act}", subject=f"replay:{replay_id}", detail=detail)
