"""How does a door learn of a new webhook secret without a restart? It reads its settings again when it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress

import structlog

from ingress.webhooks.metrics import IngressMetrics
from ingress.webhooks.receive import Reception
from shared.endpoints import Endpoint
from shared.errors import SettingsError
from shared.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.ingress")

StrikeOut = Callable[[Iterable[Endpoint]], None]


class Renewal:
    """Keys only, of the endpoints that the door began with: workers learn of a new endpoint by a restart alone."""

    def __init__(
        self, endpoints: Mapping[str, Endpoint], reception: Reception, metrics: IngressMetrics, *, strike_out: StrikeOut
    ) -> None:
        """`strike_out` has the log hide the secrets of these endpoints."""
        self._endpoints = endpoints
        self._reception = reception
        self._metrics = metrics
        self._strike_out = strike_out
        self._show(endpoints)

    @asynccontextmanager
    async def on(self, asked: asyncio.Event) -> AsyncIterator[None]:
        """Whenever the event is set, while the context lasts."""
        renewing = asyncio.create_task(self._whenever(asked), name="ingress: renews keys")
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    async def _whenever(self, asked: asyncio.Event) -> None:
        while True:
            await asked.wait()
            asked.clear()
            try:
                fresh = await asyncio.to_thread(lambda: Settings.from_env().endpoints())
            except SettingsError as error:
                log.error("ingress.keys_kept", because=str(error))
                continue
            except Exception as error:  # whatever the settings are, the door stays open with the keys it has
                log.error("ingress.keys_kept", because=type(error).__name__)
                continue
            self._take(fresh)

    def _take(self, fresh: Mapping[str, Endpoint]) -> None:
        before = self._endpoints
        self._strike_out([*before.values(), *fresh.values()])
        self._endpoints = {name: fresh.get(name, endpoint) for name, endpoint in before.items()}
        self._reception.renew(self._endpoints)
        self._show(self._endpoints)
        log.info(
            "ingress.keys_renewed",
            keys={name: [key.fingerprint for key in endpoint.keys] for name, endpoint in self._endpoints.items()},
            needs_restart=sorted(fresh.keys() ^ before.keys()),
        )

    def _show(self, endpoints: Mapping[str, Endpoint]) -> None:
        for endpoint in endpoints.values():
            for secret in endpoint.secrets:
                self._metrics.expect_secret(endpoint.name, secret.fingerprint)
