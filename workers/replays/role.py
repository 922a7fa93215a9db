"""Runs replays: publishes planned events again, to a queue of their own, at the rate of the job.

All that a job has done is in the books, so that any worker continues where another was killed. What was published and
not noted is published again, which changes nothing.
"""

import asyncio
from collections.abc import Sequence
from typing import assert_never

import structlog

from shared.broker.envelope import Envelope, encode
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.topology import EVENTS, REPLAY
from shared.ledger.database import Connection, TransientConflict
from shared.ledger.replays.items import ItemResult, Withheld, settle_items, take
from shared.ledger.replays.pacing import Finish, HandOverAgain, Send, Stop, Wait, next_due, next_step
from shared.ledger.replays.turn import Turn, end, note_sent, rewind, take_turn
from shared.observe.admin import Readiness
from shared.stopping import wait_or_stop
from workers.database import RetryingDatabase
from workers.readiness import of_publisher

IDLE_SECONDS = 0.5
"""Between polls for a job."""
WAIT_SECONDS = 0.05
"""Between polls of a job that waits for events in flight, or for its rate."""
FAULT_SECONDS = 10.0
"""Pause after a fault of ours."""

log = structlog.get_logger("kessai.worker")


class Replays:
    """Runs the replays that are started, until stopped."""

    def __init__(self, *, books: RetryingDatabase, publisher: Publisher) -> None:
        self._books = books
        self._publisher = publisher
        self._broker_down_because: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                pause = await self._books.run(self.take_turn)
            except TransientConflict:  # the job waits where it is
                pause = IDLE_SECONDS
            except Exception:  # whatever is wrong with a job must not end the roles beside it
                log.exception("replay.turn_failed")
                pause = FAULT_SECONDS
            await wait_or_stop(stop, pause)

    def readiness(self) -> Readiness:
        return of_publisher(self._books, self._broker_down_because)

    async def take_turn(self, connection: Connection) -> float:
        """Take one job a step further; seconds until the next poll."""
        async with connection.transaction():
            turn = await take_turn(connection)
            if turn is None:
                return IDLE_SECONDS
            match next_step(turn.progress):
                case Send(events):
                    return await self._send(connection, turn, events)
                case Wait():
                    await note_sent(connection, turn.replay_id, sent=0, due=turn.due)
                    return WAIT_SECONDS
                case HandOverAgain():
                    await rewind(connection, turn.replay_id)
                    log.warning("replay.handed_over_again", replay=turn.replay_id, events=turn.progress.in_flight)
                case Stop(because):
                    await end(connection, turn.replay_id, "stopped", because)
                    log.warning("replay.stopped", replay=turn.replay_id, because=because)
                case Finish():
                    await end(connection, turn.replay_id, "done", None)
                    log.info("replay.done", replay=turn.replay_id, events=turn.progress.total)
                case step:
                    assert_never(step)
        return 0.0

    async def _send(self, connection: Connection, turn: Turn, events: int) -> float:
        """Publish the next events, up to the first that RabbitMQ refuses."""
        items = await take(
            connection, turn.replay_id, first=turn.progress.sent + 1, limit=events, rule_again=turn.rule_again
        )
        await _settle_withheld(connection, turn.replay_id, items)
        kept = [(item, envelope) for item, envelope in items if isinstance(envelope, Envelope)]
        outcomes = await self._publisher.publish_many([_outgoing(envelope) for _, envelope in kept])
        refused = next((at for at, outcome in enumerate(outcomes) if outcome is not None), None)
        sent = len(items) if refused is None else kept[refused][0] - turn.progress.sent - 1
        self._note(None if refused is None else str(outcomes[refused]))
        due = next_due(sent, turn.progress.rate, due=turn.due, now=turn.now)
        await note_sent(connection, turn.replay_id, sent=sent, due=due)
        return 0.0 if refused is None and turn.progress.rate is None else WAIT_SECONDS

    def _note(self, down: str | None) -> None:
        if down and not self._broker_down_because:
            log.warning("replay.broker_unavailable", error=down)
        self._broker_down_because = down


async def _settle_withheld(
    connection: Connection, replay_id: int, items: Sequence[tuple[int, Envelope | Withheld]]
) -> None:
    """Items that cannot or must not be published have their result at once."""
    results = [ItemResult(replay_id, item, *why) for item, why in items if isinstance(why, Withheld)]
    if results:
        await settle_items(connection, results)


def _outgoing(envelope: Envelope) -> Outgoing:
    return Outgoing(encode(envelope), EVENTS, REPLAY)
