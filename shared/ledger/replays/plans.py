"""A plan: which events a replay would hand over again, frozen, and what each of them would come to."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from shared.errors import KessaiError
from shared.ledger.books import Shop
from shared.ledger.database import Connection, Pool, connected
from shared.ledger.replays.predict import predict
from shared.ledger.replays.selection import Selection, Source, freeze
from shared.remedies import Remedy


class NothingToReplay(KessaiError):
    """No event fits the filter."""


class PlanCancelled(KessaiError):
    """Somebody ended the plan before it was whole."""


class BeyondHorizon(KessaiError):
    """Events from before the dedupe horizon: the books no longer show whether they were applied."""

    remedy = Remedy.EXCLUDE_OLD_EVENTS


@dataclass(frozen=True, slots=True)
class Plan:
    plan_id: int
    events: int
    predicted: dict[str, int]
    """Events by outcome."""


async def plan(
    pool: Pool,
    handlers: Pool,
    selection: Selection,
    shops: Mapping[str, Shop],
    *,
    actor: str,
    begun: Callable[[int, int], None] = lambda *_: None,
    advanced: Callable[[int], None] = lambda _: None,
) -> Plan:
    """Freeze the events that are meant and predict each; `begun` hears plan and events, `advanced` each page's size.

    `handlers` connects as workers do. A plan that is interrupted is kept as cancelled.
    Raises NothingToReplay, BeyondHorizon, PlanCancelled.
    """
    async with connected(pool) as connection:
        plan_id, events = await _freeze(connection, selection, actor)
    begun(plan_id, events)
    try:
        predicted = await _predict_all(handlers, plan_id, selection.source, shops, advanced)
        async with connected(pool) as connection:
            await _finish(connection, plan_id, predicted)
    except BaseException as error:
        async with connected(pool) as connection:
            await _give_up(connection, plan_id, type(error).__name__)
        raise
    return Plan(plan_id, events, dict(predicted))


async def _freeze(connection: Connection, selection: Selection, actor: str) -> tuple[int, int]:
    async with connection.transaction():
        plan_id: int = await connection.fetchval(
            """
            INSERT INTO kessai.replays (source, filter, planned_by)
            VALUES ($1, $2, $3)
            RETURNING replay_id
            """,
            selection.source,
            orjson.dumps(selection.as_json()).decode(),
            actor,
        )
        events = await freeze(connection, plan_id, selection)
        if not events:
            raise NothingToReplay("no event fits the filter: nothing to replay")
        await require_claims(connection, plan_id)
        await connection.execute("UPDATE kessai.replays SET total = $2 WHERE replay_id = $1", plan_id, events)
    return plan_id, events


async def require_claims(connection: Connection, plan_id: int) -> None:
    """Raises BeyondHorizon when an event's claim may have been pruned: it would be applied a second time."""
    row = await connection.fetchrow(
        """
        SELECT count(*) AS events, min(horizon.claims_before) AS claims_before
        FROM kessai.replay_items AS items, kessai.dedupe_horizon AS horizon
        WHERE replay_id = $1 AND event_id IS NOT NULL AND received_at < horizon.claims_before
          AND NOT EXISTS (SELECT FROM kessai.webhook_events AS known
                          WHERE known.endpoint = items.endpoint AND known.event_id = items.event_id)
        """,
        plan_id,
    )
    if row is not None and row["events"]:
        raise BeyondHorizon(
            f"{row['events']} of these events came before {row['claims_before']:%Y-%m-%d %H:%M}Z, and whether they "
            "were applied is no longer on record"
        )


async def _predict_all(
    pool: Pool, plan_id: int, source: Source, shops: Mapping[str, Shop], advanced: Callable[[int], None]
) -> Counter[str]:
    predicted: Counter[str] = Counter()
    async for results in predict(pool, plan_id, shops, rule_again=source is Source.REVIEWS):
        predicted.update(str(result.outcome) for result in results)
        advanced(len(results))
    return predicted


async def _finish(connection: Connection, plan_id: int, predicted: Counter[str]) -> None:
    status = await connection.execute(
        "UPDATE kessai.replays SET state = 'planned', predicted = $2 WHERE replay_id = $1 AND state = 'planning'",
        plan_id,
        orjson.dumps(predicted).decode(),
    )
    if status != "UPDATE 1":
        raise PlanCancelled(f"plan {plan_id} was cancelled while it was made")


async def _give_up(connection: Connection, plan_id: int, because: str) -> None:
    await connection.execute(
        """
        UPDATE kessai.replays
        SET state = 'cancelled', ended_at = now(), ended_because = 'not planned to its end: ' || $2::text
        WHERE replay_id = $1 AND state = 'planning'
        """,
        plan_id,
        because,
    )
