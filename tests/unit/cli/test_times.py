"""A moment is ISO 8601 or how long ago; what is neither is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from deploy.cli.times import moment, span

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T09:00", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("2026-11-20T09:00Z", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("2026-11-20 09:00:30.5+09:00", datetime(2026, 11, 20, 0, 0, 30, 500_000, tzinfo=UTC)),
        ("90s", NOW - timedelta(seconds=90)),
        ("15m", NOW - timedelta(minutes=15)),
        (" 2h ", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("1w", NOW - timedelta(days=7)),
    ],
)
def test_a_moment_is_in_utc(text: str, meant: datetime) -> None:
    assert moment(text, now=NOW) == meant
    assert moment(text, now=NOW).tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2h30m", "-2h", "2026-13-01", "999999999w", "0001-01-01T00:00+14:00", "\u0662h"]
)
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is no time: write 2026-11-20"):
        moment(text, now=NOW)


@pytest.mark.parametrize(
    ("text", "found"),
    [("90s", timedelta(seconds=90)), (" 2h ", timedelta(hours=2)), ("7d", timedelta(days=7)), ("4w", timedelta(28))],
)
def test_a_span_of_time(text: str, found: timedelta) -> None:
    assert span(text) == found


@pytest.mark.parametrize("text", ["", "7", "7 d", "-7d", "1.5h", "7y", "\uff17d", "999999999w"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s, 15m, 2h, 3d or 1w"):
        span(text)
