"""How does the ingress get a new webhook secret without a restart? It reads its settings again on request."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress

import structlog

from ingress.webhooks.metrics import IngressMetrics
from ingress.webhooks.receive import WebhookHandler
from shared.endpoints import Endpoint
from shared.errors import SettingsError
from shared.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.ingress")

RedactSecrets = Callable[[Iterable[Endpoint]], None]


class KeyReloader:
    """Reloads the keys of the endpoints that the process started with; a new one needs a restart, as in workers."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        handler: WebhookHandler,
        metrics: IngressMetrics,
        *,
        redact_secrets: RedactSecrets,
    ) -> None:
        """`redact_secrets` makes the log hide the secrets of these endpoints."""
        self._endpoints = endpoints
        self._handler = handler
        self._metrics = metrics
        self._redact_secrets = redact_secrets
        self._expect_secrets(endpoints)

    @asynccontextmanager
    async def reloading_on(self, requested: asyncio.Event) -> AsyncIterator[None]:
        """Reload whenever the event is set, while the context lasts."""
        reloading = asyncio.create_task(self._reload_whenever(requested), name="ingress: reloads keys")
        try:
            yield
        finally:
            reloading.cancel()
            with suppress(asyncio.CancelledError):
                await reloading

    async def _reload_whenever(self, requested: asyncio.Event) -> None:
        while True:
            await requested.wait()
            requested.clear()
            try:
                fresh = await asyncio.to_thread(lambda: Settings.from_env().endpoints())
            except SettingsError as error:
                log.error("ingress.key_reload_failed", because=str(error))
                continue
            except Exception as error:  # whatever is wrong with the settings, the keys in use stay
                log.error("ingress.key_reload_failed", because=type(error).__name__)
                continue
            self._use(fresh)

    def _use(self, fresh: Mapping[str, Endpoint]) -> None:
        before = self._endpoints
        self._redact_secrets([*before.values(), *fresh.values()])
        self._endpoints = {name: fresh.get(name, endpoint) for name, endpoint in before.items()}
        self._handler.replace_endpoints(self._endpoints)
        self._expect_secrets(self._endpoints)
        log.info(
            "ingress.keys_reloaded",
            keys={name: [key.fingerprint for key in endpoint.keys] for name, endpoint in self._endpoints.items()},
            needs_restart=sorted(fresh.keys() ^ before.keys()),
        )

    def _expect_secrets(self, endpoints: Mapping[str, Endpoint]) -> None:
        for endpoint in endpoints.values():
            for secret in endpoint.secrets:
                self._metrics.expect_secret(endpoint.name, secret.fingerprint)
