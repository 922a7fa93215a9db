"""Which webhook secrets does this console know of, and what did Siglume say of them when somebody asked it last?"""

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

ASKED_EVERY: Final = timedelta(seconds=30)
ALL: Final = "every endpoint"
PATIENCE: Final = Patience(attempts=1, connect=2.0, attempt=3.0, deadline=3.0)
"""A person waits; a page that only shows what is known asks nobody."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Siglume's answer."""

    at: datetime
    signings: tuple[Signing, ...]


class Keyring:
    """Reads the settings again for each look, so that a rotation shows without a restart."""

    def __init__(
        self, read: Callable[[], Settings], *, patience: Patience = PATIENCE, every: timedelta = ASKED_EVERY
    ) -> None:
        self._read = read
        self._patience = patience
        self._every = every
        self._asking = asyncio.Lock()
        self.heard: Heard | None = None

    async def endpoints(self) -> Mapping[str, Endpoint]:
        """None, where this console was given no secret. Raises SettingsError when they cannot be read."""
        try:
            return await asyncio.to_thread(lambda: self._read().endpoints())
        except NoSecret:
            return {}

    async def ask(self) -> None:
        """Hear Siglume, unless it was asked a moment ago; several at once share one question."""
        async with self._asking:
            if self.heard is None or datetime.now(UTC) - self.heard.at >= self._every:
                self.heard = Heard(datetime.now(UTC), tuple(await self._ask()))

    async def _ask(self) -> list[Signing]:
        try:
            endpoints = await self.endpoints()
            registrations = await asyncio.to_thread(lambda: self._read().registrations())
        except SettingsError as error:
            return [Signing(ALL, fault=str(error))]
        return await ask_all(registrations, endpoints, patience=self._patience)
