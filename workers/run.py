"""Brings up worker roles in one process, and takes them down together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from shared.broker import topology
from shared.broker.backoff import Backoff
from shared.broker.publisher import Publisher
from shared.errors import BrokerUnavailable
from shared.garbage import collect_rarely
from shared.ledger.database import Pool, open_pool
from shared.ledger.retention import Keep
from shared.observe import log as logging
from shared.observe.admin import AdminServer, Readiness
from shared.observe.database_up import DatabaseUp
from shared.observe.metrics import new_registry
from shared.settings import Settings, TopologyMode
from shared.stopping import stop_at_signals, wait_or_stop
from workers.archive_months import archive_months
from workers.confirmations.metrics import ConfirmationMetrics
from workers.confirmations.role import Confirmations
from workers.database import RetryingDatabase
from workers.dead_letters.metrics import DeadLetterMetrics
from workers.dead_letters.role import DeadLetters
from workers.folding import fold_tallies
from workers.housekeeping import Housekeeping
from workers.outbox.metrics import OutboxMetrics
from workers.outbox.role import Outbox
from workers.overview.metrics import OverviewMetrics
from workers.overview.role import overview
from workers.reconcile.metrics import ReconcileMetrics, SweepMetrics
from workers.reconcile.providers import providers, providers_of
from workers.reconcile.role import AT_ONCE, Reconcile
from workers.reconcile.sweep_role import Sweep
from workers.reconcile.sweep_settings import swept
from workers.replays.role import Replays
from workers.retention import retention
from workers.reviews.evidence import EvidenceTerms
from workers.reviews.metrics import ReviewMetrics
from workers.reviews.role import Reviews
from workers.start_check import StartCheck

CUT_SECONDS = 3.0
"""How long the roles may take to end once their connections to Postgres are cut."""

log = structlog.get_logger("kessai.worker")


class RoleName(StrEnum):
    CONFIRMATIONS = "confirmations"
    DEAD_LETTERS = "dead-letters"
    OUTBOX = "outbox"
    REVIEWS = "reviews"
    RECONCILE = "reconcile"


def roles_for(settings: Settings) -> list[RoleName]:
    """All roles that these settings allow: reconcile needs a token of Siglume."""
    return [name for name in RoleName if name is not RoleName.RECONCILE or providers(settings)]


class Role(Protocol):
    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is in hand."""

    def readiness(self) -> Readiness:
        """What is wrong, if anything."""


@dataclass(frozen=True, slots=True)
class Admin:
    """Where /livez, /readyz and /metrics are served; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 9090


def run(settings: Settings, roles: Sequence[RoleName], admin: Admin) -> None:
    """Work until SIGTERM or SIGINT. Raises KessaiError."""
    logging.configure(style=settings.log_format, level=settings.log_level)
    logging.warn_of_unknown_settings(settings.unknown)
    uvloop.run(_work_until_signalled(settings, roles, admin))


async def _work_until_signalled(settings: Settings, roles: Sequence[RoleName], admin: Admin) -> None:
    await work(settings, roles, admin, stop=stop_at_signals())


async def work(settings: Settings, roles: Sequence[RoleName], admin: Admin, *, stop: asyncio.Event) -> None:
    """Run these roles until `stop` is set. Waits for RabbitMQ and Postgres when they are away."""
    registry = new_registry()
    database_up = DatabaseUp(registry)
    async with AsyncExitStack() as stack:
        pools = stack.enter_context(ExitStack())
        pool = await _pool(settings, pools, settings.database_pool)
        resources = _Resources(pool, pools, stop, registry, database_up, stack)
        running = [
            StartCheck(resources.books()),
            *[part for name in roles for part in await _parts(name, settings, resources)],
            *_housekeeping(settings, resources),
        ]
        served = await stack.enter_async_context(
            AdminServer(admin.host, admin.port, registry=registry, ready=lambda: _together(running))
        )
        collect_rarely()
        log.info("worker.started", roles=list(roles), admin_port=served.port)
        if await _until_topology(settings, stop):
            await _run_all(running, stop, drain_timeout=settings.drain_timeout, disconnect=pools.close)
        log.info("worker.stopped", roles=list(roles))


async def _run_all(
    roles: Sequence[Role], stop: asyncio.Event, *, drain_timeout: float, disconnect: Callable[[], None]
) -> None:
    """One role that ends in an error ends the process, so that it is started anew with all of them.

    What is not done `drain_timeout` seconds after the stop is cut off; its deliveries go back to the queue.
    `disconnect` cuts the connections to Postgres first: without it, a cancelled statement waits for an answer.
    """
    tasks = [asyncio.create_task(role.run(stop)) for role in roles]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((*tasks, stopping), return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    _, unfinished = await asyncio.wait(tasks, timeout=drain_timeout)
    if unfinished:
        disconnect()
        for task in unfinished:
            task.cancel()
        await asyncio.wait(unfinished, timeout=CUT_SECONDS)
    results = await asyncio.gather(*(task for task in tasks if task.done()), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseExceptionGroup):
            raise result.exceptions[0]
        if isinstance(result, Exception):
            raise result


@dataclass(frozen=True, slots=True)
class _Resources:
    """What the roles of one process share."""

    pool: Pool
    pools: ExitStack
    """Terminates every pool when it is closed."""
    stop: asyncio.Event
    registry: CollectorRegistry
    database_up: DatabaseUp
    stack: AsyncExitStack

    def books(
        self, *, retried: Callable[[str], None] = lambda _: None, waits_for_table_locks: bool = True
    ) -> RetryingDatabase:
        return RetryingDatabase(
            self.pool,
            stop=self.stop,
            retried=retried,
            up=self.database_up.watch,
            waits_for_table_locks=waits_for_table_locks,
        )


async def _parts(name: RoleName, settings: Settings, resources: _Resources) -> list[Role]:
    """What a role consists of.

    Each publishes on a connection of its own: what one subscriber refuses must not hold up another role.
    """
    registry, stack = resources.registry, resources.stack
    match name:
        case RoleName.CONFIRMATIONS:
            metrics = ConfirmationMetrics(registry)
            confirmations = Confirmations(
                settings.require_amqp_url(),
                books=resources.books(retried=metrics.retried),
                shops=settings.shops(),
                publisher=await stack.enter_async_context(_publisher(settings, name)),
                metrics=metrics,
                batch_size=settings.batch_size,
                largest=settings.max_body,
                drain_timeout=settings.drain_timeout,
            )
            return [confirmations]
        case RoleName.DEAD_LETTERS:
            publisher = await stack.enter_async_context(_publisher(settings, name))
            return _dead_letters(settings, resources, publisher)
        case RoleName.OUTBOX:
            publisher = await stack.enter_async_context(_publisher(settings, name))
            return [Outbox(books=resources.books(), publisher=publisher, metrics=OutboxMetrics(registry))]
        case RoleName.REVIEWS:
            return [_reviews(settings, resources)]
        case RoleName.RECONCILE:
            own_pool = await _pool(settings, resources.pools, AT_ONCE)
            return [_reconcile(settings, replace(resources, pool=own_pool)), _sweep(settings, resources)]


def _dead_letters(settings: Settings, resources: _Resources, publisher: Publisher) -> list[Role]:
    archive = DeadLetters(
        settings.require_amqp_url(),
        books=resources.books(),
        metrics=DeadLetterMetrics(resources.registry),
        batch_size=min(100, settings.batch_size),
        largest=settings.max_body,
        drain_timeout=settings.drain_timeout,
    )
    replays = Replays(books=resources.books(), publisher=publisher)
    overview_metrics = OverviewMetrics(resources.registry)
    return [archive, replays, *overview(resources.pool, settings.require_amqp_url(), overview_metrics)]


def _reviews(settings: Settings, resources: _Resources) -> Reviews:
    """With the token of each endpoint's merchant; an endpoint without one gathers no evidence."""
    accesses = {name: terms.access for name, terms in settings.checkouts().items() if terms.access is not None}
    return Reviews(
        settings.require_amqp_url(),
        books=resources.books(),
        accesses=accesses,
        terms=EvidenceTerms(settings.review_policy, settings.review_approvals, settings.shops()),
        metrics=ReviewMetrics(resources.registry),
        drain_timeout=settings.drain_timeout,
    )


def _reconcile(settings: Settings, resources: _Resources) -> Reconcile:
    """Over a pool of its own: a run keeps its connection while it waits for Siglume.

    A locked table is no outage here: each repetition of a run calls Siglume again, so it waits as after any failure.
    """
    return Reconcile(
        books=resources.books(waits_for_table_locks=False),
        providers=providers_of(settings, None),
        every=settings.reconcile_every,
        warning=settings.exposure_warning,
        metrics=ReconcileMetrics(resources.registry),
    )


def _sweep(settings: Settings, resources: _Resources) -> Sweep:
    metrics = SweepMetrics(resources.registry)
    return Sweep(resources.books(), swept(settings), per_minute=settings.sweep_per_minute, metrics=metrics)


def _housekeeping(settings: Settings, resources: _Resources) -> list[Housekeeping]:
    """What every worker does beside its roles; one of them at a time."""
    always = [archive_months(resources.books()), fold_tallies(resources.pool)]
    if settings.keep_raw_days is None:
        return always
    keep = Keep(raw=timedelta(days=settings.keep_raw_days), claims=timedelta(days=settings.keep_claims_days))
    return [*always, retention(resources.pool, keep)]


async def _pool(settings: Settings, pools: ExitStack, size: int) -> Pool:
    pool = await open_pool(
        settings.require_database_url(),
        application="kessai worker",
        size=size,
        statement_timeout=settings.statement_timeout,
        keys_only=True,
    )
    pools.callback(pool.terminate)
    return pool


def _publisher(settings: Settings, role: RoleName) -> Publisher:
    return Publisher(settings.require_amqp_url(), name=f"kessai worker {role}", timeout=settings.publish_timeout)


def _together(roles: Sequence[Role]) -> Readiness:
    """A worker takes no requests, so whatever is unavailable only degrades it."""
    degraded: dict[str, str] = {}
    for role in roles:
        degraded |= role.readiness().degraded
    return Readiness(degraded=degraded)


async def _until_topology(settings: Settings, stop: asyncio.Event) -> bool:
    """Declare or verify what RabbitMQ must have, as soon as it is there; False when stopped before."""
    may_declare = settings.topology is TopologyMode.DECLARE
    return await _until_done(lambda: topology.ensure(settings.require_amqp_url(), may_declare=may_declare), stop)


async def _until_done(step: Callable[[], Awaitable[None]], stop: asyncio.Event) -> bool:
    backoff = Backoff(first=0.2, limit=5.0)
    while not stop.is_set():
        try:
            await step()
        except BrokerUnavailable as error:
            log.warning("broker.unavailable", error=str(error))
            await wait_or_stop(stop, backoff.next())
        else:
            return True
    return False
