"""Days as a form names them: whole ones, in UTC, and the last one belongs to what is meant."""

from datetime import UTC, date, datetime, time, timedelta

from ingress.console.visit import Failed


def begin_of(text: str | None) -> datetime | None:
    """The begin of a day; None when none is named. Raises Failed."""
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise Failed(400, f"{text[:20]} is no day", "Write it as 2026-11-21, or leave it out.") from None


def end_of(day: datetime | None) -> datetime | None:
    """When the day that begins then is over; None for the last one that there is."""
    return None if day is None or day.date() == date.max else day + timedelta(days=1)
