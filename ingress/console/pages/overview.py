"""The overview: alarms, the current figures, charts of the last hours, and what is open."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from aiohttp import web

from ingress.console.alarms import alarms
from ingress.console.charts import Chart, Series, of_clock, stacked
from ingress.console.delivery_history import Range, Step
from ingress.console.formats import span
from ingress.console.sections import Section, page
from ingress.console.visit import Visit
from shared.ledger.books import Outcome
from shared.ledger.standing import standing

GROUPS = 5
"""How many of the largest groups of dead letters are listed."""
REFRESH_SECONDS = 30


async def show(visit: Visit) -> web.Response:
    range_ = Range(visit.chosen("range", Range) or Range.HOUR)
    refreshes = visit.query("refresh") is not None
    depths = await visit.services.queues.depths() if visit.services.queues is not None else None
    async with visit.books() as connection:
        stands = await standing(connection, groups=GROUPS)
    now = stands.now.astimezone(UTC)
    steps = await visit.services.history.steps(range_, now=now)
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
    """Deliveries per minute; the current step is divided by the time that has passed of it."""
    minutes = [max(min(step, now - each.at), timedelta(seconds=20)) / timedelta(minutes=1) for each in steps]
    values = [each.total / lasted for each, lasted in zip(steps, minutes, strict=True)]
    return _drawn(steps, step, [Series("deliveries", values)], _rate)


def others(steps: Sequence[Step], step: timedelta) -> Chart:
    """The outcomes other than applied have a chart of their own: beside those they would be too small to see."""
    names = [outcome for outcome in Outcome if outcome is not Outcome.APPLIED]
    series = [Series(name, [each.deliveries.get(name, 0) for each in steps]) for name in names]
    return _drawn(steps, step, series, _whole)


def waits(steps: Sequence[Step], step: timedelta) -> Chart:
    """The longest time from the receipt to the commit, in seconds."""
    values = [each.longest_wait or 0.0 for each in steps]
    return _drawn(steps, step, [Series("longest_wait", values)], _seconds)


def _drawn(steps: Sequence[Step], step: timedelta, series: Sequence[Series], written: Callable[[float], str]) -> Chart:
    times = [each.at for each in steps]
    return stacked(times, series, axis=of_clock(times, step), written=written)


def totals(steps: Sequence[Step]) -> dict[str, int]:
    """The deliveries of the whole range by outcome; every outcome is listed."""
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
