"""`kessai reconcile run`: compares the platform's statements with the books at once."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from deploy.cli.books import BooksOutdated, commit, open_books
from deploy.cli.options import AsJson, OnlyEndpoint
from deploy.cli.output import print_fields, print_json, say
from deploy.cli.times import Since

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from rich.progress import Progress

    from shared.ledger.database import Connection, Pool
    from shared.ledger.revenue.syncs import List
    from shared.sdrp.api.access import Access
    from workers.reconcile.result import Reconciled

Whole = Annotated[bool, typer.Option("--whole", help="Read every page, also those that should be unchanged.")]


class _Wanted(NamedTuple):
    since: datetime | None
    whole: bool
    warning: "Decimal"
    """Share of a buyer's threshold from which the buyer is listed as exposed."""


def run(endpoint: OnlyEndpoint = None, since: Since = None, whole: Whole = False, as_json: AsJson = False) -> None:
    """Read the statements, settle orders by their batches, compare both sides, and open or close reviews.

    `kessai worker reconcile` does the same every KESSAI_RECONCILE_EVERY seconds. It reads every endpoint that has a
    token. --since reads and compares at least that far back. A run that was interrupted continues where it stopped.

    Exit code 1 when an endpoint could not be read, or when a difference is unexplained.
    """
    from shared.errors import KessaiError
    from shared.settings import Settings
    from workers.reconcile.providers import providers_of

    if since is not None and since > datetime.now(UTC):
        raise typer.BadParameter(f"--since: {since:%Y-%m-%d %H:%M} is in the future: name a time in the past")
    settings = Settings.from_env()
    providers = providers_of(settings, endpoint)
    try:
        results, failures = asyncio.run(_run_all(providers, _Wanted(since, whole, settings.exposure_warning)))
    except KeyboardInterrupt:
        say("stopped; what was read is kept, and `kessai reconcile run` continues from there")
        raise
    if as_json:
        print_json({"endpoints": [result.as_json() for result in results], "failed": failures})
    else:
        for result in results:
            _show(result)
    if failures:
        raise KessaiError("; ".join(f"{name}: {why}" for name, why in failures.items()))
    if any(result.unexplained for result in results):
        raise typer.Exit(1)


async def _run_all(providers: "Mapping[str, Access]", wanted: _Wanted) -> "tuple[list[Reconciled], dict[str, str]]":
    """Return what was done for each endpoint, and the errors: one that fails does not keep the others from their runs.

    Raises DatabaseUnavailable, BooksOutdated and SettingsError, which are the same for all.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from shared.errors import DatabaseUnavailable, KessaiError, SettingsError
    from workers.reconcile.result import Reconciled

    console = Console(stderr=True)
    rows = TextColumn("{task.completed:,} rows")
    columns = (TextColumn("{task.description}"), BarColumn(), rows, TimeElapsedColumn())
    results, failures = [Reconciled(name) for name in providers], {}
    async with open_books(as_worker=True) as pool:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            for result in results:
                try:
                    await _run(pool, result, providers[result.endpoint], wanted, progress)
                except (DatabaseUnavailable, BooksOutdated, SettingsError):
                    raise
                except KessaiError as error:
                    failures[result.endpoint] = str(error)
    return [result for result in results if result.did_anything], failures


async def _run(pool: "Pool", result: "Reconciled", access: "Access", wanted: _Wanted, progress: "Progress") -> None:
    from shared.sdrp.api.clients import ProviderClient
    from shared.sdrp.api.transport import Transport
    from workers.reconcile.turn import reconcile

    name = result.endpoint
    task = progress.add_task(name, total=None)

    def watch(what: "List", rows: int) -> None:
        progress.update(task, description=f"{name}: {what}", advance=rows)

    async with Transport(access) as transport:
        client = ProviderClient(transport)

        async def work(connection: "Connection") -> None:
            await reconcile(
                connection,
                client,
                result,
                clock=lambda: datetime.now(UTC),
                watch=watch,
                since=wanted.since,
                whole=wanted.whole,
                warning=wanted.warning,
            )

        await commit(pool, work)
    progress.update(task, description=name, total=sum(read.rows for read in result.lists.values()))


def _show(result: "Reconciled") -> None:
    from shared.ledger.revenue.money import plain

    compared = result.compared
    fields: dict[str, object] = {"endpoint": result.endpoint}
    for what, read in result.lists.items():
        fields[what] = f"{read.rows:,} read, {read.new:,} new, {read.changed:,} changed"
    fields["orders"] = (
        ", ".join(f"{count:,} {state}" for state, count in sorted(result.moved.items())) or "none changed"
    )
    if result.finished_at is None:
        fields["differences"] = "not compared: what was read is kept, and the next run continues from there"
    else:
        fields["compared until"] = compared.until
        fields["differences"] = (
            f"{compared.differences:,}, of which {compared.opened:,} new; {compared.closed:,} closed"
        )
        fields["unexplained"] = (
            ", ".join(f"{plain(amount)} {unit} ({beside})" for (unit, beside), amount in result.unexplained.items())
            or "none"
        )
        fields["exposed buyers"] = (
            ", ".join(f"{buyers:,} {level}" for level, buyers in result.exposed.counts.items() if buyers) or "none"
        )
    print_fields(fields)
    if any(result.exposed.counts.values()):
        say("the platform takes no more payments of some buyers, or soon will: see `kessai revenue exposure`")
    for note in result.notes:
        say(f"note: {note}")
