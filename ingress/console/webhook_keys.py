"""The webhook secrets of this console, and the last answer of Siglume on which of them it signs with."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.endpoints import Endpoint
from shared.errors import NoSecret, SettingsError
from shared.sdrp.api.retries import Patience
from shared.settings import Settings
from shared.signing import Signing, ask_all

READ_EVERY: Final = timedelta(seconds=30)
ALL: Final = "every endpoint"
PATIENCE: Final = Patience(attempts=1, connect=2.0, attempt=3.0, deadline=3.0)
"""Short, because a person waits for the answer."""


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Siglume's answer, and when it came."""

    at: datetime
    signings: tuple[Signing, ...]


class WebhookKeys:
    """Reads the settings again each time, so that a rotation shows without a restart."""

    def __init__(
        self, read: Callable[[], Settings], *, patience: Patience = PATIENCE, every: timedelta = READ_EVERY
    ) -> None:
        self._read = read
        self._patience = patience
        self._every = every
        self._lock = asyncio.Lock()
        self.heard: SigningKeys | None = None

    async def endpoints(self) -> Mapping[str, Endpoint]:
        """Empty where this console was given no secret. Raises SettingsError when the settings cannot be read."""
        try:
            return await asyncio.to_thread(lambda: self._read().endpoints())
        except NoSecret:
            return {}

    async def ask(self) -> None:
        """Ask Siglume, unless that was done a moment ago. Requests at the same time share one call."""
        async with self._lock:
            if self.heard is None or datetime.now(UTC) - self.heard.at >= self._every:
                self.heard = SigningKeys(datetime.now(UTC), tuple(await self._ask()))

    async def _ask(self) -> list[Signing]:
        try:
            endpoints = await self.endpoints()
            registrations = await asyncio.to_thread(lambda: self._read().registrations())
        except SettingsError as error:
            return [Signing(ALL, fault=str(error))]
        return await ask_all(registrations, endpoints, patience=self._patience)
