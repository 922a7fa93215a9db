"""How do things stand? What needs somebody now, then the last hours in pictures, then what is open."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from aiohttp import web

from ingress.console.alarms import alarms
from ingress.console.charts import Chart, Series, of_clock, stacked
from ingress.console.pulse import Range, Step
from ingress.console.sections import Section, page
from ingress.console.shown import span
from ingress.console.visit import Visit
from shared.ledger.books import Outcome
from shared.ledger.standing import standing

GROUPS = 5
"""The largest groups of dead letters, of which each has a line."""
REFRESH_SECONDS = 30


async def show(visit: Visit) -> web.Response:
    range_ = Range(visit.chosen("range", Range) or Range.HOUR)
    refreshes = visit.asked("refresh") is not None
    depths = await visit.services.queues.depths() if visit.services.queues is not None else None
    async with visit.books() as connection:
        stands = await standing(connection, groups=GROUPS)
    now = stands.now.astimezone(UTC)
    steps = await visit.services.pulse.steps(range_, now=now)
    response = visit.page(
        "overview.html",
        stands=stands,
        now=now,
        depths=depths,
        alarms=alarms(stands, depths),
        range=range_,
        ranges=list(Range),
        refreshes=refreshes,
        refresh_seconds=REFRESH_SECONDS,
        rates=rates(steps, range_.step, now=now),
        others=others(steps, range_.step),
        waits=waits(steps, range_.step),
        totals=totals(steps),
    )
    if refreshes:
        response.headers["Refresh"] = str(REFRESH_SECONDS)
    return response


def rates(steps: Sequence[Step], step: timedelta, *, now: datetime) -> Chart:
    """Deliveries a minute; the step that is going on counts for as long as it has."""
    minutes = [max(min(step, now - each.at), timedelta(seconds=20)) / timedelta(minutes=1) for each in steps]
    values = [each.total / lasted for each, lasted in zip(steps, minutes, strict=True)]
    return _drawn(steps, step, [Series("deliveries", values)], _rate)


def others(steps: Sequence[Step], step: timedelta) -> Chart:
    """What was not simply applied, by outcome: beside the many that were, it could not be seen."""
    names = [outcome for outcome in Outcome if outcome is not Outcome.APPLIED]
    series = [Series(name, [each.deliveries.get(name, 0) for each in steps]) for name in names]
    return _drawn(steps, step, series, _whole)


def waits(steps: Sequence[Step], step: timedelta) -> Chart:
    """The longest way from the door to the commit, in seconds."""
    values = [each.longest_wait or 0.0 for each in steps]
    return _drawn(steps, step, [Series("longest_wait", values)], _seconds)


def _drawn(steps: Sequence[Step], step: timedelta, series: Sequence[Series], written: Callable[[float], str]) -> Chart:
    times = [each.at for each in steps]
    return stacked(times, series, axis=of_clock(times, step), written=written)


def totals(steps: Sequence[Step]) -> dict[str, int]:
    """Deliveries of the whole range by outcome, every outcome named."""
    return {outcome: sum(step.deliveries.get(outcome, 0) for step in steps) for outcome in Outcome}


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _seconds(value: float) -> str:
    if value and value < 1:
        return f"{value * 1000:.0f} ms"
    return span(value)


SECTION = Section("Overview", "/", (page("/", show),))
