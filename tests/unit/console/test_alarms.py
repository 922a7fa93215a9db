"""What somebody must know at once, and what may wait."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ingress.console.alarms import Urgency, alarms
from ingress.console.queues import Depths, QueueDepth
from shared.broker.depths import Depth
from shared.ledger.dead_letter_search import DeadLetterGroup
from shared.ledger.revenue.exposed import LastExposed
from shared.ledger.standing import OpenReviews, Standing, UnfinishedReplay

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CALM = Standing(
    now=NOW,
    reviews=[OpenReviews("unknown", 3, NOW - timedelta(hours=2))],
    open_letters=0,
    groups=[],
    newest_letter=None,
    replays=[UnfinishedReplay(1, "running", "archive", 10, 5, "user:otto", "why")],
    oldest_fact=NOW - timedelta(seconds=5),
    newest_event=NOW,
    newest_applied=NOW - timedelta(hours=9),
    exposed=None,
)


def queues(messages: int = 0, consumers: int = 1) -> Depths:
    return Depths((QueueDepth("kessai.confirmations", Depth(messages, consumers), "confirmations"),))


def told(standing: Standing, depths: Depths | None = None) -> list[tuple[Urgency, str]]:
    return [(alarm.urgency, alarm.text) for alarm in alarms(standing, depths)]


def test_when_all_is_well_nothing_is_said() -> None:
    assert told(CALM, queues()) == []  # a shop without customers is no trouble
    assert told(CALM, None) == []


def test_a_queue_without_a_consumer_is_urgent_once_something_waits_in_it() -> None:
    assert told(CALM, queues(0, 0))[0][0] is Urgency.SOON
    assert told(CALM, queues(4000, 0))[0] == (
        Urgency.NOW,
        "Nobody consumes kessai.confirmations; 4,000 messages wait.",
    )


def test_a_consumer_that_does_nothing_is_noticed() -> None:
    assert [text for _, text in told(CALM, queues(10, 1))] == ["Messages wait, yet nothing was applied for 9 h."]
    assert told(replace(CALM, newest_applied=NOW), queues(10, 1)) == []


def test_rabbitmq_away_and_queues_missing_are_urgent() -> None:
    assert told(CALM, Depths(away_because="no answer"))[0][0] is Urgency.NOW
    missing = Depths(tuple(QueueDepth(name, None, "x") for name in ("a", "b", "c")))
    assert told(CALM, missing) == [(Urgency.NOW, "Missing in RabbitMQ: a, b and c.")]


def test_facts_that_nobody_relays_are_urgent() -> None:
    late = replace(CALM, oldest_fact=NOW - timedelta(minutes=3))
    assert told(late)[0][1].startswith("Your systems have received no facts for 3 min")


def test_dead_letters_are_urgent_while_they_are_fresh() -> None:
    group = DeadLetterGroup("g", "reason", "Error", "kind", "siglume", 3900, NOW, NOW - timedelta(minutes=5), 1)
    fresh = replace(CALM, open_letters=4000, groups=[group], newest_letter=group.last_seen)
    assert told(fresh) == [
        (Urgency.NOW, "4,000 dead letters are open; 3,900 are of one group, the newest 5 min old."),
    ]
    long_ago = NOW - timedelta(days=3)
    old = replace(fresh, groups=[replace(group, last_seen=long_ago, count=4000)], newest_letter=long_ago)
    assert told(old) == [(Urgency.SOON, "4,000 dead letters are open, the newest 3 days old.")]


def test_people_who_wait_are_told_after_the_machines() -> None:
    late = replace(
        CALM,
        reviews=[OpenReviews("metered", 1, NOW - timedelta(days=4))],
        replays=[replace(CALM.replays[0], state="stopped")],
    )
    assert [urgency for urgency, _ in told(late, queues(1, 0))] == [
        Urgency.NOW,
        Urgency.NOW,
        Urgency.SOON,
        Urgency.SOON,
    ]


def test_buyers_are_told_of_before_siglume_takes_no_more_of_them() -> None:
    near, both, paused = (
        replace(CALM, exposed=LastExposed(*counts, as_of=NOW - timedelta(minutes=20)))
        for counts in ((2, 0), (1, 3), (0, 1))
    )
    ((urgency, text),) = told(near)
    assert urgency is Urgency.SOON
    assert text.startswith("2 buyers are near the amount at which Siglume takes no more micro and nano payments of")
    assert text.endswith(", by the statements of 20 min ago.")
    assert told(both)[0][1].startswith("Siglume takes no more micro and nano payments of 3 buyers; 1 buyer is near")
    assert told(paused)[0][1].startswith("Siglume takes no more micro and nano payments of 1 buyer, by the statements")
    assert [alarm.see for alarm in alarms(near, None)] == ["/revenue#exposure"]
