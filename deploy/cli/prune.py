"""`kessai prune`: delete what is old and what nothing can need any more."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.books import with_books
from deploy.cli.options import AsJson
from deploy.cli.output import print_fields, print_json, say
from shared.errors import KessaiError

if TYPE_CHECKING:
    from shared.ledger import retention
    from shared.ledger.database import Connection
    from shared.settings import Settings


class PruneElsewhere(KessaiError):
    """A worker or another command prunes already."""


MAX_DAYS = 36500
"""As many as the settings take: stands for ever where no number of days is given."""

RawDays = Annotated[
    int | None,
    typer.Option(
        "--raw-days",
        min=1,
        max=MAX_DAYS,
        help="Delete raw bytes that are older than this number of days, the archive by whole months; "
        "KESSAI_KEEP_RAW_DAYS when omitted. When neither gives a number, raw bytes and claims are kept.",
    ),
]
ClaimDays = Annotated[
    int | None,
    typer.Option(
        "--claim-days",
        min=30,
        max=MAX_DAYS,
        help="Delete claims of event ids, and published facts, that are older than this number of days; "
        "KESSAI_KEEP_CLAIMS_DAYS when omitted.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be deleted.")]


def prune(
    raw_days: RawDays = None, claim_days: ClaimDays = None, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Delete old raw bytes, and claims that no dead letter, open review, archived month or plan can need.

    Raw bytes are those of archived months, and of dead letters that are discarded or resolved; an open dead letter
    keeps its bytes.

    Workers do the same every six hours when KESSAI_KEEP_RAW_DAYS is set.
    """
    from shared.ledger import retention
    from shared.settings import Settings

    settings = Settings.from_env()
    raw_days = raw_days or settings.keep_raw_days
    keep = _keep(raw_days, claim_days, settings)

    async def work(connection: "Connection") -> "retention.Pruned | None":
        now = datetime.now(UTC)
        if dry_run:
            return await retention.prune(connection, keep, now=now, dry_run=True)
        return await retention.prune_alone(connection, keep, now=now)

    pruned = with_books(work, tries=1)  # what is deleted stays deleted: a second try would report only the rest
    if pruned is None:
        raise PruneElsewhere("a worker or another command prunes at this moment: try again when it has finished")
    if raw_days is None:
        say("raw bytes, and with them the claims, are kept for ever: set KESSAI_KEEP_RAW_DAYS or give --raw-days")
    if as_json:
        print_json(pruned)
    else:
        _show(pruned, dry_run=dry_run)


def _keep(raw_days: int | None, claim_days: int | None, settings: "Settings") -> "retention.Keep":
    from shared.ledger.retention import Keep

    return Keep(
        raw=timedelta(days=raw_days or MAX_DAYS), claims=timedelta(days=claim_days or settings.keep_claims_days)
    )


def _show(pruned: "retention.Pruned", *, dry_run: bool) -> None:
    print_fields(
        {
            "would be deleted" if dry_run else "deleted": f"{pruned.claims:,} claims, {pruned.facts:,} published facts",
            "archived months": ", ".join(pruned.months) or "none",
            "bytes of closed dead letters": f"{pruned.dead_letters:,}",
            "old, and still needed": ", ".join(pruned.kept_months) or "none",
            "dedupe horizon": pruned.claims_before,
        }
    )
