"""`kessai reconcile sweep`: finds payments whose webhook never arrived, at once."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from deploy.cli.books import commit, open_books
from deploy.cli.options import AsJson, OnlyEndpoint
from deploy.cli.output import print_json, print_table, say
from deploy.cli.times import span
from shared.plurals import counted

if TYPE_CHECKING:
    from shared.ledger.database import Connection, Pool
    from shared.ledger.sweep_rules import SweepTerms
    from shared.ledger.sweeps import Due
    from shared.sdrp.api.access import Access
    from workers.reconcile.sweep import Look, SweptEndpoint

T = TypeVar("T")


def _span(text: str) -> timedelta:
    try:
        return span(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


OlderThan = Annotated[
    timedelta | None,
    typer.Option(
        "--older-than",
        metavar="SPAN",
        parser=_span,
        help="Only sessions whose order is pending, or whose payment lacks its webhook, for longer than this: 30m, 2h; "
        "KESSAI_SWEEP_AFTER when omitted.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read the sessions and only print what would be done.")]


def sweep(
    endpoint: OnlyEndpoint = None, older_than: OlderThan = None, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Read the checkout sessions of orders that have been pending for long, to find webhooks that never arrived.

    `kessai worker reconcile` does the same every minute.

    Exit code 1 when a payment without its webhook was found and not applied to its order, so that a person must decide;
    with --dry-run, when one was found.
    """
    from shared.ledger.hosted_sessions import merchant_untold
    from shared.settings import Settings
    from workers.platform_sessions import PlatformAway
    from workers.reconcile.sweep_settings import swept_endpoints

    settings = Settings.from_env()
    endpoints = [
        (name, access, terms if older_than is None else replace(terms, after=older_than))
        for name, access, terms in swept_endpoints(settings, endpoint)
    ]
    for name, _, terms in endpoints:
        if terms.merchant is None:
            say(f"no payment fits its order: {merchant_untold(name)}")
    looks: list[Look] = []
    away: PlatformAway | None = None
    try:
        asyncio.run(_sweep(endpoints, looks, per_minute=settings.sweep_per_minute, dry_run=dry_run))
    except PlatformAway as error:
        away = error
    if as_json or away is None or not all(look.is_unsaid for look in looks):
        _print_looks(looks, dry_run=dry_run, as_json=as_json)
    if away is not None:
        raise away
    if any(_is_left(look, dry_run=dry_run) for look in looks):
        raise typer.Exit(1)


def _is_left(look: "Look", *, dry_run: bool) -> bool:
    """Return whether the webhook is still missing and its payment was not applied."""
    from workers.reconcile.sweep import LookResult

    return look.result is LookResult.MISSED or (dry_run and look.result is LookResult.PAID)


async def _sweep(
    endpoints: "list[tuple[str, Access, SweepTerms]]", looks: "list[Look]", *, per_minute: int, dry_run: bool
) -> None:
    from shared.observe import log
    from shared.sdrp.api.clients import MerchantClient
    from shared.sdrp.api.transport import Transport
    from workers.platform_sessions import PATIENCE
    from workers.reconcile.sweep import SweptEndpoint

    log.configure(style="console", level="error")
    async with open_books() as pool:
        books = _Books(pool)
        for endpoint, access, terms in endpoints:
            async with Transport(access, patience=PATIENCE, connections=1) as transport:
                swept = SweptEndpoint(MerchantClient(transport), endpoint, terms, books, per_minute=per_minute)
                await (_foresee(books, swept, looks) if dry_run else _work(books, swept, looks))


class _Books:
    """Commits the work of the sweep: an outage ends the command."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool

    async def __call__(self, work: "Callable[[Connection], Awaitable[T]]", /) -> T:
        return await commit(self._pool, work)


async def _work(books: _Books, swept: "SweptEndpoint", looks: "list[Look]") -> None:
    """Read page by page, each under a lease of its own, until none is left."""
    began, is_waiting = datetime.now(UTC), False
    await books(swept.close_heard)
    while await books(lambda connection: swept.run_of(connection, began=began)):
        page = await swept.in_turn(
            asyncio.Event(),
            datetime.now(UTC),
            lambda connection: swept.run_of(connection, began=began),
            lambda look: _progress(looks, look),
        )
        if page is None:
            if not is_waiting:
                say(f"{swept.endpoint}: the limit of this minute is reached; waiting for the next minute")
            is_waiting = True
            await asyncio.sleep(1.0)


async def _foresee(books: _Books, swept: "SweptEndpoint", looks: "list[Look]") -> None:
    """Write nothing, and so take no lease; keep the limit for each minute all the same."""
    began, seen = datetime.now(UTC), 0
    while page := await _page(books, swept, began, skip=seen):
        if seen:
            await asyncio.sleep(60.0)
        seen += len(page)
        _, away = await swept.look_at(page, lambda look: _progress(looks, look), is_dry=True)
        if away is not None:
            raise away


async def _page(books: _Books, swept: "SweptEndpoint", began: datetime, *, skip: int) -> "list[Due]":
    return await books(lambda connection: swept.run_of(connection, began=began, skip=skip))


def _progress(looks: "list[Look]", look: "Look") -> None:
    looks.append(look)
    if len(looks) % 25 == 0:
        say(f"{counted(len(looks), 'session')} read")


def _print_looks(looks: "list[Look]", *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(looks)
        return
    print_table(
        ("order", "attempt", "session", "its status", "would be" if dry_run else "found", "mismatched", "next check"),
        [
            (
                *(each.order_id, each.attempt, each.session_id, each.session_status, each.found),
                *(", ".join(each.unfit) or None, each.look_again_at),
            )
            for each in looks
        ],
        empty="no session to check: each order that is pending for that long was checked recently, or has no session",
    )
    if looks:
        counts = Counter(each.found for each in looks)
        say(f"{counted(len(looks), 'session')}: " + ", ".join(f"{count} {found}" for found, count in counts.items()))
