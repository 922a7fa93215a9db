"""Where bars, lines and labels stand."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.console.charts import (
    BOTTOM,
    HEIGHT,
    LABELS,
    LEFT,
    NAMES,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    Row,
    Series,
    of_calendar,
    of_clock,
    shares,
    stacked,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

MINUTE = timedelta(minutes=1)


def drawn(
    begins: list[datetime], series: list[Series], step: timedelta, written: Callable[[float], str] = str
) -> Chart:
    return stacked(begins, series, axis=of_clock(begins, step), written=written)


def times(number: int, step: timedelta) -> list[datetime]:
    return [NOON + step * at for at in range(number)]


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), min_size=1, max_size=100))
def test_bars_stand_on_one_another_within_the_chart(values: list[tuple[float, float]]) -> None:
    series = [Series("below", [pair[0] for pair in values]), Series("above", [pair[1] for pair in values])]
    chart = drawn(times(len(values), MINUTE), series, MINUTE)
    for column in chart.columns:
        assert LEFT - 0.01 <= column.x <= column.x + column.width <= WIDTH - RIGHT + 0.1
        for bar in column.bars:
            assert TOP - 0.8 <= bar.y <= bar.y + bar.height <= HEIGHT - BOTTOM + 0.8
        if len(column.bars) == 2:
            assert column.bars[1].y <= column.bars[0].y + 0.01


@pytest.mark.parametrize(
    ("highest", "labels"),
    [
        (0, ["0"]),
        (1, ["0", "0.25", "0.5", "0.75", "1"]),
        (7, ["0", "2", "4", "6", "8"]),
        (450, ["0", "200", "400", "600"]),
        (1000, ["0", "250", "500", "750", "1000"]),
        (12_345, ["0", "5000", "10000", "15000"]),
    ],
)
def test_lines_stand_at_round_values_and_the_highest_bar_is_below_the_last(highest: float, labels: list[str]) -> None:
    chart = drawn([NOON], [Series("a", [highest])], MINUTE, lambda value: f"{value:g}")
    assert [tick.label for tick in chart.ys] == labels
    assert chart.is_empty is (highest == 0)


@pytest.mark.parametrize(
    ("number", "step", "labels"),
    [
        (60, timedelta(minutes=1), ["12:00", "12:15", "12:30", "12:45"]),
        (96, timedelta(minutes=15), ["12:00", "16:00", "20:00", "00:00", "04:00", "08:00"]),
        (84, timedelta(hours=2), ["21 Nov", "22 Nov", "23 Nov", "24 Nov", "25 Nov", "26 Nov", "27 Nov"]),
    ],
)
def test_times_are_labelled_where_they_are_round(number: int, step: timedelta, labels: list[str]) -> None:
    chart = drawn(times(number, step), [Series("a", [1.0] * number)], step)
    assert [tick.label for tick in chart.xs] == labels
    assert len(chart.table) == number


@pytest.mark.parametrize("number", [1, 7, 12, 24, 31, 53, 62])
def test_a_calendar_has_no_more_labels_than_there_is_room_for(number: int) -> None:
    axis = of_calendar(times(number, timedelta(days=1)), "%d %b")
    assert 1 <= len([label for label in axis.labels if label]) <= LABELS
    assert (axis.labels[0], axis.names[0]) == ("20 Nov", "2026-11-20")


def test_a_table_has_the_exact_texts_where_a_float_could_not_hold_them() -> None:
    exact = "9,007,199,254,740,993.5"
    chart = stacked([NOON], [Series("a", [9.0e15], [exact])], axis=of_calendar([NOON], "%d"), written=str)
    assert chart.table == [(NOON, [exact])]
    assert exact in chart.columns[0].description


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.floats(0.01, 1))
def test_lying_bars_reach_the_line_when_their_share_does(values: list[float], warning: float) -> None:
    drawn = shares([Row(f"buyer-{at}" * 5, "fine", value, "") for at, value in enumerate(values)], warning=warning)
    assert NAMES < drawn.warning <= drawn.whole <= WIDTH
    for bar in drawn.bars:
        end = NAMES + bar.width
        assert end <= WIDTH
        assert (end >= drawn.whole - 0.02) == (bar.row.share >= 1 - 1e-4) or abs(bar.row.share - 1) < 1e-3
        assert bar.y + 1 <= drawn.floor
        assert len(bar.label) <= 17
