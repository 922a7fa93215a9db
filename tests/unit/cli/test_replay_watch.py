"""Whoever waits for a replay hears why nothing moves: once each time, and not while it moves."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from deploy.cli.replay_watch import STALLED_SECONDS, UNTAKEN_SECONDS, Concern, Concerns
from shared.ledger.replays.jobs import Replay, ReplayState

NOW = datetime(2026, 11, 21, tzinfo=UTC)
JOB = Replay(
    plan_id=1, state=ReplayState.RUNNING, source="dead_letters", filter={}, total=100, sent=0, done=0, predicted={},
    results={}, planned_by="cli:ann", planned_at=NOW, why="INC-1", started_by="cli:ann", started_at=NOW, rate=50.0,
    canary=0, stop_on_fail=0.05, seen_at=None, ended_at=None, ended_because=None,
)  # fmt: skip
TAKEN = replace(JOB, seen_at=NOW)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def heard(clock: Clock, concerns: Concerns, job: Replay | None, seconds: float) -> list[Concern]:
    """What is said over so many seconds, with a look each half of one."""
    said = []
    for _ in range(int(seconds * 2)):
        clock.now += 0.5
        concern = concerns.about(job)
        said += [] if concern is None else [concern]
    return said


def test_a_job_that_no_worker_takes_up_is_told_once(clock: Clock) -> None:
    concerns = Concerns(clock)
    assert heard(clock, concerns, JOB, UNTAKEN_SECONDS) == []
    assert heard(clock, concerns, JOB, 60) == [Concern.UNTAKEN]


def test_a_job_that_stops_moving_is_told_each_time(clock: Clock) -> None:
    concerns = Concerns(clock)
    for done in (0, 7, 9):
        assert heard(clock, concerns, replace(TAKEN, done=done), STALLED_SECONDS) == []
        assert heard(clock, concerns, replace(TAKEN, done=done), 60) == [Concern.STALLED]


def test_a_slow_rate_is_no_standstill(clock: Clock) -> None:
    concerns = Concerns(clock)
    assert heard(clock, concerns, replace(TAKEN, rate=0.05), 59) == []
    assert heard(clock, concerns, replace(TAKEN, rate=0.05), 5) == [Concern.STALLED]


def test_a_paused_job_need_not_move(clock: Clock) -> None:
    assert heard(clock, Concerns(clock), replace(TAKEN, state=ReplayState.PAUSED), 600) == []


def test_an_outage_is_told_at_once_and_waited_through(clock: Clock) -> None:
    concerns = Concerns(clock)
    assert heard(clock, concerns, None, 60) == [Concern.AWAY]
    assert heard(clock, concerns, replace(TAKEN, done=1), 5) == []
    assert heard(clock, concerns, None, 5) == [Concern.AWAY]
