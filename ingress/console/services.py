"""What do the pages and the API share? Made once, when the console starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ingress.console.access.authentication import Authenticator
from ingress.console.access.limits import LoginLimits
from ingress.console.access.origins import OriginPolicy
from ingress.console.delivery_history import DeliveryHistory
from ingress.console.exporter import Exporter
from ingress.console.metrics import ConsoleMetrics
from ingress.console.plans import Plans
from ingress.console.queues import Queues
from ingress.console.replay_progress import ReplayProgress
from ingress.console.report_cache import ReportCache, RevenueTerms
from ingress.console.webhook_keys import WebhookKeys
from shared.ledger.books import Shop
from shared.ledger.database import Pool
from shared.ledger.passwords import Verifier
from shared.sdrp.signature import SigningSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The pools, caches and policies of one console."""

    pool: Pool
    """For short statements; it connects as workers do."""
    origins: OriginPolicy
    authenticator: Authenticator
    metrics: ConsoleMetrics
    plans: Plans
    reports: ReportCache
    exporter: Exporter
    history: DeliveryHistory
    progress: ReplayProgress
    shops: Mapping[str, Shop]
    """What the merchant decided for each endpoint."""
    secrets: Mapping[str, Sequence[SigningSecret]] = field(default_factory=dict)
    """What signatures are verified with again, by endpoint; empty where the console was given no secret."""
    approvals: int = 1
    """How many people must agree to a decision that moves money."""
    revenue: RevenueTerms = field(default_factory=RevenueTerms)
    limits: LoginLimits = field(default_factory=LoginLimits)
    verifier: Verifier = field(default_factory=Verifier)
    queues: Queues | None = None
    """None where the console does not know the address of RabbitMQ."""
    webhook_keys: WebhookKeys | None = None

    async def close(self) -> None:
        """End what runs in the background, so that the console can end."""
        self.progress.is_over.set()
        await self.plans.close()
        await self.reports.close()
