"""Where bars, lines and labels stand."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.console.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Series, stacked

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def times(number: int, step: timedelta) -> list[datetime]:
    return [NOON + step * at for at in range(number)]


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), min_size=1, max_size=100))
def test_bars_stand_on_one_another_within_the_chart(values: list[tuple[float, float]]) -> None:
    series = [Series("below", [pair[0] for pair in values]), Series("above", [pair[1] for pair in values])]
    chart = stacked(times(len(values), timedelta(minutes=1)), series, step=timedelta(minutes=1), written=str)
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
    chart = stacked([NOON], [Series("a", [highest])], step=timedelta(minutes=1), written=lambda value: f"{value:g}")
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
    chart = stacked(times(number, step), [Series("a", [1.0] * number)], step=step, written=str)
    assert [tick.label for tick in chart.xs] == labels
    assert len(chart.table) == number
