"""What people read is plain: no escape sequence of a payload reaches their terminal."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.output import printable, when
from shared.plurals import counted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("決済 ok", "決済 ok"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines", r"two\nlines"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ud800", r"\ud800"),
    ],
)
def test_control_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_whatever_is_shown_is_printable(text: str) -> None:
    assert printable(text).isprintable()


def test_times_are_utc() -> None:
    tokyo = datetime(2026, 11, 20, 9, 30, 5, 999, tzinfo=timezone(timedelta(hours=9)))
    assert when(tokyo) == "2026-11-20 00:30:05Z" == when(tokyo.astimezone(UTC))


def test_numbers_agree_with_their_noun() -> None:
    assert [counted(number, "order") for number in (0, 1, 1234)] == ["0 orders", "1 order", "1,234 orders"]
