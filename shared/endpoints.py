"""One shop's door, and the webhook secrets that vouch there: since when, and until when."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from shared.sdrp.signature import SigningSecret

DEFAULT_ENDPOINT: Final = "siglume"
"""The one whose secret and merchant come from the environment."""


@dataclass(frozen=True, slots=True)
class EndpointKey:
    """A webhook secret and its validity window; shown by its fingerprint."""

    secret: SigningSecret
    given_by: str
    """The setting or the file that holds it: what to change in order to retire it."""
    not_before: datetime | None = None
    not_after: datetime | None = None
    """Not included."""

    @property
    def fingerprint(self) -> str:
        return self.secret.fingerprint

    def is_live(self, now: datetime) -> bool:
        """Whether it vouches for what comes now."""
        return self.has_begun(now) and not self.is_over(now)

    def has_begun(self, now: datetime) -> bool:
        return self.not_before is None or self.not_before <= now

    def is_over(self, now: datetime) -> bool:
        return self.not_after is not None and self.not_after <= now


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`/webhooks/{name}`."""

    name: str
    keys: tuple[EndpointKey, ...]
    """Where several match a webhook, the first of them is counted."""
    secrets: tuple[SigningSecret, ...] = field(init=False, repr=False)
    """Of all keys, whatever their window: a proof of what once came needs them."""
    _has_windows: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "secrets", tuple(key.secret for key in self.keys))
        windows = (key.not_before or key.not_after for key in self.keys)
        object.__setattr__(self, "_has_windows", any(windows))

    def live_secrets(self, now: float) -> tuple[SigningSecret, ...]:
        """What vouches for a webhook that comes now (unix seconds). The door asks for every one of them."""
        if not self._has_windows:
            return self.secrets
        moment = datetime.fromtimestamp(now, UTC)
        return tuple(key.secret for key in self.keys if key.is_live(moment))

    def live_keys(self, now: datetime) -> tuple[EndpointKey, ...]:
        return tuple(key for key in self.keys if key.is_live(now))
