"""Where do the bars of a chart stand? Pure geometry: numbers in, places in an SVG's own units out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

WIDTH, HEIGHT = 400, 168
LEFT, RIGHT, TOP, BOTTOM = 44, 4, 10, 22
"""Margins: numbers stand left, times below."""
NEXT_TO_NOTHING: Final = 1e-9
"""Below it a scale would have no round values any more."""
MIDNIGHT: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    """Also the class of its bars, which gives them their colour."""
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One step of time."""

    x: float
    width: float
    told: str
    """In words, for a pointer that rests on it."""
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Tick:
    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    columns: Sequence[Column]
    ys: Sequence[Tick]
    xs: Sequence[Tick]
    table: Sequence[tuple[datetime, Sequence[str]]]
    """The same numbers as text."""
    series: Sequence[str]
    is_empty: bool
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    floor: int = HEIGHT - BOTTOM


def stacked(
    times: Sequence[datetime], series: Sequence[Series], *, step: timedelta, written: Callable[[float], str]
) -> Chart:
    """Bars upon one another, one column a time. `written` makes text of a value, with its unit if it has one."""
    sums = [sum(each.values[at] for each in series) for at in range(len(times))]
    top, ticks = _scale(max(sums, default=0.0))
    pitch = (WIDTH - LEFT - RIGHT) / max(1, len(times))
    columns = [
        Column(
            round(LEFT + at * pitch, 2),
            round(pitch * 0.82, 2),
            _told(time, series, at, written),
            _bars(series, at, top),
        )
        for at, time in enumerate(times)
    ]
    return Chart(
        columns=columns,
        ys=[Tick(round(_y(value, top), 2), written(value)) for value in ticks],
        xs=_times(times, step, pitch),
        table=[(time, [written(each.values[at]) for each in series]) for at, time in enumerate(times) if sums[at]],
        series=[each.name for each in series],
        is_empty=not any(sums),
    )


def _bars(series: Sequence[Series], at: int, top: float) -> list[Bar]:
    bars, below = [], 0.0
    for each in series:
        value = each.values[at]
        if value <= 0:
            continue
        y, base = _y(below + value, top), _y(below, top)
        bars.append(Bar(each.name, round(y, 2), round(max(base - y, 0.75), 2)))
        below += value
    return bars


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP)


def _scale(highest: float) -> tuple[float, list[float]]:
    """The value at the top, and round values for the lines: at most five."""
    if highest < NEXT_TO_NOTHING:
        return 1.0, [0.0]
    magnitude = 10.0 ** math.floor(math.log10(highest / 4))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor * 4 >= highest * 0.999999)
    lines = math.ceil(highest / step - 1e-9)
    return step * lines, [step * line for line in range(lines + 1)]


def _times(times: Sequence[datetime], step: timedelta, pitch: float) -> list[Tick]:
    """A few round times: quarters of an hour, every four hours, or days."""
    length = step * len(times)
    if length <= timedelta(hours=2):
        every, form = timedelta(minutes=15), "%H:%M"
    elif length <= timedelta(days=2):
        every, form = timedelta(hours=4), "%H:%M"
    else:
        every, form = timedelta(days=1), "%d %b"
    return [
        Tick(round(LEFT + at * pitch, 2), f"{time:{form}}")
        for at, time in enumerate(times)
        if not (time - MIDNIGHT) % every
    ]


def _told(time: datetime, series: Sequence[Series], at: int, written: Callable[[float], str]) -> str:
    said = [f"{each.name.replace('_', ' ')} {written(each.values[at])}" for each in series if each.values[at]]
    return f"{time:%Y-%m-%d %H:%M} UTC: {', '.join(said) or 'nothing'}"
