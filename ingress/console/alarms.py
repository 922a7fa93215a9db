"""The alarms of the overview. Pure: makes them, with advice, from the state of the books and the queues."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from ingress.console.formats import link, span
from ingress.console.queues import Depths
from shared.ledger.standing import Standing
from shared.plurals import counted

OUTBOX_PATIENCE: Final = timedelta(seconds=60)
REVIEW_PATIENCE: Final = timedelta(days=1)
STANDSTILL: Final = timedelta(minutes=5)
"""Time without an applied event, while messages wait, after which there is an alarm."""
FRESH: Final = timedelta(hours=1)


class Urgency(StrEnum):
    NOW = "now"
    """Something has stopped, or has waited for very long."""
    SOON = "soon"


@dataclass(frozen=True, slots=True)
class Alarm:
    urgency: Urgency
    text: str
    advice: str
    see: str | None = None
    """The address of the page to open."""


def alarms(standing: Standing, depths: Depths | None) -> list[Alarm]:
    """The alarms, the most urgent first."""
    found = [
        *(*_of_broker(standing, depths), *_of_outbox(standing), *_of_letters(standing)),
        *(*_of_people(standing), *_of_buyers(standing)),
    ]
    return sorted(found, key=lambda alarm: alarm.urgency is not Urgency.NOW)


def _of_broker(standing: Standing, depths: Depths | None) -> Iterator[Alarm]:
    if depths is None:
        return
    if depths.away_because is not None:
        yield Alarm(
            Urgency.NOW,
            "RabbitMQ does not answer. The ingress accepts no webhooks until it is back.",
            "Check that it runs and that KESSAI_AMQP_URL names it. Siglume sends again what was refused.",
        )
    missing = [each.queue for each in depths.queues if each.depth is None]
    if missing:
        yield Alarm(Urgency.NOW, f"Missing in RabbitMQ: {_listed(missing)}.", "Run kessai topology apply.")
    idle = [each for each in depths.queues if each.worker and each.depth and not each.depth.consumers]
    if idle:
        messages = sum(each.depth.messages for each in idle if each.depth)
        yield Alarm(
            Urgency.NOW if messages else Urgency.SOON,
            f"Nobody consumes {_listed([each.queue for each in idle])}"
            f"; {counted(messages, 'message waits', 'messages wait') if messages else 'nothing waits yet'}.",
            f"Start kessai worker {' '.join(dict.fromkeys(each.worker for each in idle if each.worker))}.",
        )
    if any(each.depth and each.depth.messages and each.worker == "confirmations" for each in depths.queues):
        newest = standing.newest_applied
        if newest is not None and standing.now - newest > STANDSTILL:
            yield Alarm(
                Urgency.NOW,
                f"Messages wait, yet nothing was applied for {_age(standing, newest)}.",
                "Look at the log of kessai worker confirmations.",
            )


def _of_outbox(standing: Standing) -> Iterator[Alarm]:
    if standing.oldest_fact is not None and standing.now - standing.oldest_fact > OUTBOX_PATIENCE:
        yield Alarm(
            Urgency.NOW,
            f"Your systems have received no facts for {_age(standing, standing.oldest_fact)}: they wait in the outbox.",
            "Check that kessai worker outbox runs.",
        )


def _of_letters(standing: Standing) -> Iterator[Alarm]:
    newest = standing.newest_letter
    if not standing.groups or newest is None:
        return
    largest = standing.groups[0]
    letters = counted(standing.open_letters, "dead letter is open", "dead letters are open")
    share = f"; {counted(largest.count, 'is', 'are')} of one group" if largest.count < standing.open_letters else ""
    is_fresh = standing.now - newest < FRESH
    yield Alarm(
        Urgency.NOW if is_fresh else Urgency.SOON,
        f"{letters}{share}, the newest {_age(standing, newest)} old.",
        "What failed in the same way is one group: find its cause once, then replay it as a whole.",
        see="/dead-letters",
    )


def _of_people(standing: Standing) -> Iterator[Alarm]:
    for each in standing.reviews:
        if each.oldest is not None and standing.now - each.oldest > REVIEW_PATIENCE:
            yield Alarm(
                Urgency.SOON,
                f"A review of the queue {each.queue} has waited for {_age(standing, each.oldest)}.",
                "Somebody's money waits for a decision.",
                see=link("/reviews", queue=each.queue),
            )
    for replay in standing.replays:
        if replay.state in {"paused", "stopped"}:
            left = counted(replay.total - replay.handed_over, "event")
            yield Alarm(
                Urgency.SOON,
                f"Replay {replay.replay_id} is {replay.state} with {left} left.",
                "Resume or cancel it.",
                see=f"/replays/{replay.replay_id}",
            )


def _of_buyers(standing: Standing) -> Iterator[Alarm]:
    found = standing.exposed
    if found is None:
        return
    near = counted(found.warning, "buyer is", "buyers are")
    pause = "Siglume takes no more micro and nano payments of"
    if found.paused:
        more = f"; {near} near that" if found.warning else ""
        text = f"{pause} {counted(found.paused, 'buyer')}{more}"
    else:
        text = f"{near} near the amount at which {pause} them"
    yield Alarm(
        Urgency.SOON,
        f"{text}, by the statements of {_age(standing, found.as_of)} ago.",
        "See who, and what they owe: it must be settled before they can go on.",
        see="/revenue#exposure",
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _age(standing: Standing, moment: datetime) -> str:
    return span((standing.now - moment).total_seconds())
