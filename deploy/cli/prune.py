"""`kessai prune`: forget what is old and nothing could need any more."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.books import with_books
from deploy.cli.show import AsJson, print_fields, print_json
from shared.errors import KessaiError

if TYPE_CHECKING:
    from shared.ledger import retention
    from shared.ledger.database import Connection


class PruneElsewhere(KessaiError):
    """Two at once would only be in each other's way."""


DAYS_OF_RAW, DAYS_OF_CLAIMS = 400, 800

RawDays = Annotated[int, typer.Option("--raw-days", min=1, max=36500, help="Keep raw bytes for so many days.")]
ClaimDays = Annotated[
    int, typer.Option("--claim-days", min=30, max=36500, help="Keep claims of event ids for so many.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")]


def prune(
    raw_days: RawDays = DAYS_OF_RAW,
    claim_days: ClaimDays = DAYS_OF_CLAIMS,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Forget old raw bytes and claims that no dead letter, open review, archived month or plan could need."""
    from shared.ledger import retention

    keep = retention.Keep(raw=timedelta(days=raw_days), claims=timedelta(days=claim_days))

    async def work(connection: "Connection") -> "retention.Pruned | None":
        now = datetime.now(UTC)
        if dry_run:
            return await retention.prune(connection, keep, now=now, dry_run=True)
        return await retention.prune_alone(connection, keep, now=now)

    pruned = with_books(work, tries=1)  # what went stays gone: a second try would tell only of the rest
    if pruned is None:
        raise PruneElsewhere("a worker or another command prunes just now: try again when it is done")
    if as_json:
        print_json(pruned)
        return
    print_fields(
        {
            "would go" if dry_run else "gone": f"{pruned.claims:,} claims, {pruned.facts:,} published facts",
            "archived months": ", ".join(pruned.months) or "none",
            "old, and still needed": ", ".join(pruned.kept_months) or "none",
            "dedupe horizon": pruned.claims_before,
        }
    )
