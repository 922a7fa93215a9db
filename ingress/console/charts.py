"""The geometry of charts. Pure: turns numbers into positions in the units of an SVG."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

WIDTH, HEIGHT = 400, 168
LEFT, RIGHT, TOP, BOTTOM = 44, 4, 10, 22
"""Margins: the numbers are on the left, the times below."""
LABELS: Final = 7
"""The most labels below the columns."""
NEXT_TO_NOTHING: Final = 1e-9
"""The smallest scale that still has round values."""
MIDNIGHT: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    """The name is also the CSS class of its bars, which gives them their colour."""
    values: Sequence[float]
    texts: Sequence[str] | None = None
    """The exact values as text, where a float cannot hold them."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The labels below the columns."""

    names: Sequence[str]
    """The name of each column, shown under the pointer."""
    labels: Sequence[str | None]
    """The labels of those columns that have one."""
    is_of_columns: bool = False
    """Whether a label names the whole column instead of the moment at which it begins."""


def of_clock(times: Sequence[datetime], step: timedelta) -> Axis:
    """An axis with a few round times: quarters of an hour, every four hours, or days."""
    length = step * len(times)
    if length <= timedelta(hours=2):
        every, form = timedelta(minutes=15), "%H:%M"
    elif length <= timedelta(days=2):
        every, form = timedelta(hours=4), "%H:%M"
    else:
        every, form = timedelta(days=1), "%d %b"
    return Axis(
        [f"{time:%Y-%m-%d %H:%M} UTC" for time in times],
        [None if (time - MIDNIGHT) % every else f"{time:{form}}" for time in times],
    )


def of_calendar(times: Sequence[datetime], form: str) -> Axis:
    """An axis of days, weeks or months, with as many labels as there is space for."""
    every = -(-len(times) // LABELS)
    last = len(times) - 1 - (every // 2 if every > 2 else 0)  # beyond it a label would reach over the edge
    return Axis(
        [f"{time:%Y-%m-%d}" for time in times],
        [None if at % every or at > last else f"{time:{form}}" for at, time in enumerate(times)],
        is_of_columns=True,
    )


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a chart: a step of time."""

    x: float
    width: float
    description: str
    """The text shown under the pointer."""
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
    is_centred: bool = False
    """Whether the first label is centred below its mark, too."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    floor: int = HEIGHT - BOTTOM


def stacked(
    times: Sequence[datetime], series: Sequence[Series], *, axis: Axis, written: Callable[[float], str]
) -> Chart:
    """A chart of stacked bars, one column per step of time. `written` turns a value into text with its unit."""
    sums = [sum(each.values[at] for each in series) for at in range(len(times))]
    top, ticks = _scale(max(sums, default=0.0))
    pitch = (WIDTH - LEFT - RIGHT) / max(1, len(times))
    columns = [
        Column(
            round(LEFT + at * pitch, 2),
            round(pitch * 0.82, 2),
            _description(axis.names[at], series, at, written),
            _bars(series, at, top),
        )
        for at in range(len(times))
    ]
    return Chart(
        columns=columns,
        ys=[Tick(round(_y(value, top), 2), written(value)) for value in ticks],
        xs=_marks(axis, pitch),
        table=[(time, [_text(each, at, written) for each in series]) for at, time in enumerate(times) if sums[at]],
        series=[each.name for each in series],
        is_empty=not any(sums),
        is_centred=axis.is_of_columns,
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
    """The value at the top, and at most five round values for the grid lines."""
    if highest < NEXT_TO_NOTHING:
        return 1.0, [0.0]
    magnitude = 10.0 ** math.floor(math.log10(highest / 4))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor * 4 >= highest * 0.999999)
    lines = math.ceil(highest / step - 1e-9)
    return step * lines, [step * line for line in range(lines + 1)]


def _marks(axis: Axis, pitch: float) -> list[Tick]:
    within = pitch * 0.41 if axis.is_of_columns else 0.0  # the middle of a bar
    return [
        Tick(round(LEFT + at * pitch + within, 2), label) for at, label in enumerate(axis.labels) if label is not None
    ]


def _description(name: str, series: Sequence[Series], at: int, written: Callable[[float], str]) -> str:
    said = [f"{each.name.replace('_', ' ')} {_text(each, at, written)}" for each in series if each.values[at]]
    return f"{name}: {', '.join(said) or 'nothing'}"


def _text(series: Series, at: int, written: Callable[[float], str]) -> str:
    return written(series.values[at]) if series.texts is None else series.texts[at]


@dataclass(frozen=True, slots=True)
class Row:
    """A horizontal bar: a share of the value that the line on the right marks."""

    name: str
    tone: str
    """The CSS class of the bar, which gives it its colour."""
    share: float
    description: str


@dataclass(frozen=True, slots=True)
class Lying:
    row: Row
    y: float
    width: float
    label: str
    is_cut: bool
    """Whether the bar is longer than the chart and is cut."""


@dataclass(frozen=True, slots=True)
class Shares:
    """A chart of horizontal bars, with a line at the share `warning` and a line at the whole."""

    bars: Sequence[Lying]
    warning: float
    whole: float
    """The positions of the two lines."""
    width: int
    height: int
    left: int
    floor: int


ROW, NAMES, HEAD, MARGIN = 18, 118, 18, 8
"""Height of a row, width of the names, height of the lines' labels, and right margin of such a chart."""
NAME_CHARACTERS: Final = 17


def shares(rows: Sequence[Row], *, warning: float) -> Shares:
    """The share at the right edge: that of the longest bar, between 1 and 1.5."""
    room = WIDTH - NAMES - MARGIN
    most = min(max([1.08, *(row.share * 1.02 for row in rows)]), 1.5)
    floor = HEAD + ROW * len(rows)
    return Shares(
        bars=[
            Lying(
                row,
                y=HEAD + ROW * at,
                width=round(max(min(row.share / most, 1.0) * room, 0.75), 2),
                label=_short(row.name),
                is_cut=row.share > most,
            )
            for at, row in enumerate(rows)
        ],
        warning=round(NAMES + warning / most * room, 2),
        whole=round(NAMES + room / most, 2),
        width=WIDTH,
        height=floor + 4,
        left=NAMES,
        floor=floor,
    )


def _short(name: str) -> str:
    """A shortened id that keeps both ends, because ids often begin alike."""
    if len(name) <= NAME_CHARACTERS:
        return name
    half = (NAME_CHARACTERS - 1) // 2
    return f"{name[:half]}…{name[-half:]}"
