"""Days as forms name them: whole days in UTC. The last day of a range belongs to it."""

from datetime import UTC, date, datetime, time, timedelta

from ingress.console.visit import Failed


def begin_of(text: str | None) -> datetime | None:
    """The beginning of a day; None when no day is named. Raises Failed."""
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise Failed(400, f"{text[:20]} is no day", "Write it as 2026-11-21, or leave it out.") from None


def end_of(day: datetime | None) -> datetime | None:
    """The end of the day that begins then; None for the last day that Python knows."""
    return None if day is None or day.date() == date.max else day + timedelta(days=1)
