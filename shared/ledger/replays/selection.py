"""Which events does a replay mean? A filter from a person, frozen into items."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.errors import KessaiError
from shared.ledger.database import Connection, affected
from shared.remedies import Remedy


class Source(StrEnum):
    DEAD_LETTERS = "dead_letters"
    """What could not be applied, and is open."""
    ARCHIVE = "archive"
    """Any event whose bytes are kept. Applying one again changes nothing."""
    REVIEWS = "reviews"
    """Open reviews: their events are ruled on anew."""


class EmptyFilter(KessaiError):
    """A selection that does not say which events are meant."""


class NoFilter(EmptyFilter):
    remedy = Remedy.NAME_EVENTS


@dataclass(frozen=True, slots=True)
class Selection:
    """The events of one source that fit every field which is given. Times are those of receipt."""

    source: Source = Source.DEAD_LETTERS
    reasons: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    everything: bool = False
    """Explicit, because a filter that is empty by mistake must not mean everything."""

    def __post_init__(self) -> None:
        """Raises EmptyFilter."""
        if not self.everything and not self.conditions():
            raise NoFilter("no filter says which events are meant")
        for name in self.conditions():
            if name not in _COLUMNS[self.source]:
                raise EmptyFilter(f"{self.source} cannot be chosen by {name}: use {', '.join(_COLUMNS[self.source])}")

    def conditions(self) -> dict[str, Any]:
        """What is asked for, by field."""
        return {name: value for name, value in asdict(self).items() if name not in ("source", "everything") and value}

    def as_json(self) -> dict[str, Any]:
        return {"source": self.source, "all": self.everything, **self.conditions()}


_COLUMNS: Mapping[Source, Mapping[str, str]] = {
    Source.DEAD_LETTERS: {
        "reasons": "reason = ANY ({})",
        "groups": "group_id = ANY ({})",
        "endpoints": "endpoint = ANY ({})",
        "event_ids": "event_id = ANY ({})",
        "types": "type = ANY ({})",
        "kinds": "kind = ANY ({})",
        "since": "received_at >= {}",
        "until": "received_at < {}",
    },
    Source.ARCHIVE: {
        "reasons": "reason = ANY ({})",
        "endpoints": "endpoint = ANY ({})",
        "event_ids": "event_id = ANY ({})",
        "types": "type = ANY ({})",
        "kinds": "kind = ANY ({})",
        "outcomes": "outcome = ANY ({})",
        "since": "archived.received_at >= {}",
        "until": "archived.received_at < {}",
    },
    Source.REVIEWS: {
        "reasons": "reason = ANY ({})",
        "endpoints": "endpoint = ANY ({})",
        "event_ids": "event_id = ANY ({})",
        "since": "received_at >= {}",
        "until": "received_at < {}",
    },
}

_FROM: Mapping[Source, str] = {
    Source.DEAD_LETTERS: """
        SELECT endpoint, event_id, receipt_id, received_at
        FROM kessai.dead_letters
        WHERE state = 'open'
        """,
    Source.ARCHIVE: """
        SELECT endpoint, event_id, archived.receipt_id, archived.received_at
        FROM kessai.webhook_archive AS archived
        JOIN kessai.webhook_events USING (endpoint, event_id)
        WHERE true
        """,
    Source.REVIEWS: """
        SELECT endpoint, event_id, receipt_id, received_at
        FROM kessai.reviews
        WHERE state = 'open' AND reason <> 'event_id_conflict' AND about IS NULL
        """,
}


async def freeze(connection: Connection, replay_id: int, selection: Selection) -> int:
    """Write down the events that are meant, in the order of their receipt; how many they are."""
    conditions = selection.conditions()
    tests = [
        _COLUMNS[selection.source][name].format(f"${at}{'::timestamptz' if name in ('since', 'until') else '::text[]'}")
        for at, name in enumerate(conditions, start=2)
    ]
    status = await connection.execute(
        f"""
        INSERT INTO kessai.replay_items (replay_id, item, endpoint, event_id, receipt_id, received_at)
        SELECT $1, row_number() OVER (ORDER BY received_at, receipt_id), endpoint, event_id, receipt_id, received_at
        FROM ({" AND ".join([_FROM[selection.source], *tests])}) AS meant
        """,
        replay_id,
        *conditions.values(),
    )
    return affected(status)
