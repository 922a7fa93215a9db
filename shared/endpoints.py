"""An endpoint of the webhook ingress, and its webhook secrets with their windows of validity."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from shared.sdrp.signature import SigningSecret

DEFAULT_ENDPOINT: Final = "siglume"
"""The endpoint whose secret and merchant come from the environment."""


@dataclass(frozen=True, slots=True)
class EndpointKey:
    """A webhook secret and its window of validity; it is shown by its fingerprint."""

    secret: SigningSecret
    given_by: str
    """The setting or the file that holds it, to be changed when it is retired."""
    not_before: datetime | None = None
    not_after: datetime | None = None
    """The end of the window, which is not part of it."""

    @property
    def fingerprint(self) -> str:
        return self.secret.fingerprint

    def is_live(self, now: datetime) -> bool:
        """Whether it verifies a webhook that comes now."""
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
    """When several match a webhook, the first of them is counted."""
    secrets: tuple[SigningSecret, ...] = field(init=False, repr=False)
    """The secrets of all keys, whatever their window: old webhooks are proved with them."""
    _has_windows: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "secrets", tuple(key.secret for key in self.keys))
        windows = (key.not_before or key.not_after for key in self.keys)
        object.__setattr__(self, "_has_windows", any(windows))

    def live_secrets(self, now: float) -> tuple[SigningSecret, ...]:
        """The secrets that may verify a webhook at `now` (unix seconds). The ingress calls it for every webhook."""
        if not self._has_windows:
            return self.secrets
        moment = datetime.fromtimestamp(now, UTC)
        return tuple(key.secret for key in self.keys if key.is_live(moment))

    def live_keys(self, now: datetime) -> tuple[EndpointKey, ...]:
        return tuple(key for key in self.keys if key.is_live(now))
