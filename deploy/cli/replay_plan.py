"""Makes a plan of a replay at a terminal, and prints the predicted outcomes."""

from typing import TYPE_CHECKING

from deploy.cli.books import actor, open_books
from deploy.cli.output import print_json, print_table, say
from shared.plurals import counted

if TYPE_CHECKING:
    from shared.ledger.replays.plans import Plan
    from shared.ledger.replays.selection import Selection


def plan_and_print(selection: "Selection", *, as_json: bool) -> None:
    """Raises KessaiError."""
    made = _make_plan(selection)
    if as_json:
        print_json(made)
        return
    print_table(("predicted outcome", "events"), sorted(made.predicted.items()), empty="")
    say(f"plan {made.plan_id}: {counted(made.events, 'event')}; list them: kessai replay events {made.plan_id}")
    say(f'to start it: kessai replay start {made.plan_id} --why "..." --watch')


def _make_plan(selection: "Selection") -> "Plan":
    import asyncio

    from rich.console import Console
    from rich.progress import Progress

    from shared.ledger.replays.plans import plan as make_plan
    from shared.settings import Settings

    shops = Settings.from_env().shops()

    async def work(progress: Progress) -> "Plan":
        task = progress.add_task("predicting", total=None)
        async with open_books() as books, open_books(as_worker=True) as handlers:
            return await make_plan(
                books,
                handlers,
                selection,
                shops,
                actor=actor(),
                begun=lambda _, events: progress.update(task, total=events),
                advanced=lambda events: progress.advance(task, events),
            )

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        return asyncio.run(work(progress))
