"""How does a person name a moment? As ISO 8601, UTC unless it says otherwise, or as how long ago it is."""

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
            f"{text[:40]!r} is no time: write 2026-11-20, 2026-11-20T09:00Z, or how long ago, as 15m, 2h, 3d"
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
        "--since", metavar="TIME", parser=_moment_now, help="From then on: 2026-11-20T09:00Z, or 2h, 3d for ago."
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option("--until", metavar="TIME", parser=_moment_now, help="Before then, the moment itself not included."),
]
