"""Reads the times that people write: ISO 8601, UTC unless an offset is given, or how long ago it was."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

_SPAN = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, *, now: datetime) -> datetime:
    """`2026-11-20`, `2026-11-20T09:00+09:00`, or `90s`, `15m`, `2h`, `3d`, `1w` ago. Raises ValueError."""
    try:
        if _SPAN.fullmatch(text.strip()):
            return now - span(text)
        given = datetime.fromisoformat(text.strip())
        return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:40]!r} is no time: write 2026-11-20, 2026-11-20T09:00Z, or how long ago it was: 15m, 2h, 3d"
        ) from None


def span(text: str) -> timedelta:
    """`90s`, `15m`, `2h`, `3d` or `1w`. Raises ValueError."""
    found = _SPAN.fullmatch(text.strip())
    try:
        if found:
            return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        pass
    raise ValueError(f"{text[:40]!r} is no span of time: write 90s, 15m, 2h, 3d or 1w")


def _moment_now(text: str) -> datetime:
    try:
        return moment(text, now=datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Since = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        metavar="TIME",
        parser=_moment_now,
        help="Only from this time on: 2026-11-20T09:00Z, or 3d for 3 days ago.",
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option("--until", metavar="TIME", parser=_moment_now, help="Only before this time, written as for --since."),
]
