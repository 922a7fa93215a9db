"""`kessai replay`: handle events again, as a job that is planned, watched and recorded."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.books import actor, with_books
from deploy.cli.options import MAX_ID, AsJson, Limit, at_most
from deploy.cli.output import cell, print_fields, print_json, print_table, when
from deploy.cli.replay_plan import plan_and_print
from deploy.cli.replay_terms import (
    Canary,
    NewStopOnFail,
    Rate,
    StopOnFail,
    Why,
    parse_rate,
    parse_share,
)
from deploy.cli.times import Since, Until
from shared.ledger.books import Outcome
from shared.ledger.replays.selection import Source
from shared.ledger.replays.terms import DEFAULT_CANARY, USUAL_RATE, USUAL_STOP_ON_FAIL, rate_in_words

if TYPE_CHECKING:
    from shared.ledger.replays.jobs import Act, Replay

app = typer.Typer(name="replay", help="Handle events again, as a job.", no_args_is_help=True)

ReplayId = Annotated[
    int,
    typer.Argument(
        metavar="PLAN", min=1, callback=at_most(MAX_ID), help="Number of the plan: see `kessai replay history`."
    ),
]


def _source(text: str) -> Source:
    """Accept dead-letters, as commands are written, and dead_letters, as the JSON says. Raises BadParameter."""
    try:
        return Source(text.replace("-", "_"))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not one of dead-letters, archive, reviews") from None


From = Annotated[
    Source,
    typer.Option(
        "--from",
        parser=_source,
        metavar="dead-letters|archive|reviews",
        show_default="dead-letters",
        help="Replay open dead letters, any archived events, or the events of open reviews.",
    ),
]
Reasons = Annotated[
    list[str] | None, typer.Option("--reason", help="Only this reason; may be repeated, as may all filters.")
]
Groups = Annotated[list[str] | None, typer.Option("--group", metavar="GROUP", help="Only this group of dead letters.")]
Endpoints = Annotated[list[str] | None, typer.Option("--endpoint", help="Only this endpoint; all when omitted.")]
Events = Annotated[list[str] | None, typer.Option("--event", metavar="EVENT_ID", help="Only this event id.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Only events of this type, as the platform names it.")]
Kinds = Annotated[list[str] | None, typer.Option("--kind", help="Only events of this kind, as Kessai classified them.")]
Outcomes = Annotated[list[Outcome] | None, typer.Option("--outcome", help="Only archived events with this outcome.")]
Everything = Annotated[bool, typer.Option("--all", help="All events of the source; required when no filter is given.")]
Watch = Annotated[bool, typer.Option("--watch", help="Show progress, and return when the job has ended.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when the job has ended, without showing progress.")]
OfOutcome = Annotated[
    Outcome | None, typer.Option("--outcome", help="Only events with this outcome, predicted or actual.")
]


@app.command()
def plan(
    source: From = Source.DEAD_LETTERS,
    reason: Reasons = None,
    group: Groups = None,
    endpoint: Endpoints = None,
    event: Events = None,
    type_: Types = None,
    kind: Kinds = None,
    outcome: Outcomes = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    as_json: AsJson = False,
) -> None:
    """Fix the list of events and predict the outcome of each. Nothing is replayed yet."""
    from shared.ledger.replays.selection import Selection

    selection = Selection(
        source=source,
        reasons=tuple(reason or ()),
        groups=tuple(group or ()),
        endpoints=tuple(endpoint or ()),
        event_ids=tuple(event or ()),
        types=tuple(type_ or ()),
        kinds=tuple(kind or ()),
        outcomes=tuple(outcome or ()),
        since=since,
        until=until,
        everything=everything,
    )
    plan_and_print(selection, as_json=as_json)


@app.command()
def start(
    plan_id: ReplayId,
    why: Why,
    canary: Canary = DEFAULT_CANARY,
    rate: Rate = USUAL_RATE,
    stop_on_fail: StopOnFail = USUAL_STOP_ON_FAIL,
    watch: Watch = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Start a plan in the workers. The canary is replayed first, and the rest when few enough of it failed.

    Exit code 1 when --watch or --wait is given and the job is stopped or cancelled.
    """
    from shared.ledger.replays import jobs

    terms = jobs.Terms(why=why, canary=canary, rate=parse_rate(rate), stop_on_fail=parse_share(stop_on_fail))
    job = with_books(lambda connection: jobs.start(connection, plan_id, terms, actor=actor()))
    if not (watch or wait):
        _print_job(job, as_json)
        return
    _follow(plan_id, shows_progress=watch, as_json=as_json)


@app.command()
def status(plan_id: ReplayId, watch: Watch = False, as_json: AsJson = False) -> None:
    """Show the progress of a job and the outcomes so far.

    Exit code 1 when --watch is given and the job is stopped or cancelled.
    """
    from shared.ledger.replays import jobs

    if watch:
        _follow(plan_id, shows_progress=True, as_json=as_json)
        return
    _print_job(with_books(lambda connection: jobs.find(connection, plan_id)), as_json)


@app.command()
def pause(plan_id: ReplayId, as_json: AsJson = False) -> None:
    """Pause a job; events in flight are still handled."""
    from shared.ledger.replays.jobs import Act

    _act(plan_id, Act.PAUSE, as_json)


@app.command()
def resume(plan_id: ReplayId, stop_on_fail: NewStopOnFail = None, as_json: AsJson = False) -> None:
    """Resume a job that was paused, or that stopped because too many events failed again."""
    from shared.ledger.replays.jobs import Act

    _act(plan_id, Act.RESUME, as_json, stop_on_fail=parse_share(stop_on_fail) if stop_on_fail else None)


@app.command()
def cancel(plan_id: ReplayId, as_json: AsJson = False) -> None:
    """Cancel a plan or a job; events in flight are still handled."""
    from shared.ledger.replays.jobs import Act

    _act(plan_id, Act.CANCEL, as_json)


@app.command()
def history(limit: Limit = 20, as_json: AsJson = False) -> None:
    """List plans and jobs, the newest first: who started them, why, and their results."""
    from shared.ledger.replays import jobs

    found = with_books(lambda connection: jobs.newest(connection, limit=limit))
    if as_json:
        print_json(found)
        return
    print_table(
        ("plan", "planned", "by", "from", "state", "events", "done", "failed", "why"),
        [(r.plan_id, r.planned_at, r.planned_by, r.source, r.state, r.total, r.done, r.failed, r.why) for r in found],
        empty="no replays yet: `kessai replay plan` makes a plan",
    )


@app.command()
def events(plan_id: ReplayId, limit: Limit = 50, outcome: OfOutcome = None, as_json: AsJson = False) -> None:
    """List the events of a plan: the predicted outcome and change of each, and its actual outcome."""
    from shared.ledger.replays import items, jobs

    async def work(connection: Any) -> "list[items.ReplayItem]":  # noqa: ANN401 - the ledger's connection
        await jobs.find(connection, plan_id)
        return await items.list_items(connection, plan_id, limit=limit, outcome=outcome)

    found = with_books(work)
    if as_json:
        print_json(found)
        return
    rows = [
        (e.item, e.received_at, e.endpoint, e.event_id, e.predicted_outcome, e.change, e.outcome, e.reason)
        for e in found
    ]
    print_table(
        ("item", "received", "endpoint", "event", "predicted outcome", "predicted change", "outcome", "reason"),
        rows,
        empty="this plan has no such events",
    )


def _act(plan_id: int, act: "Act", as_json: bool, *, stop_on_fail: float | None = None) -> None:
    from shared.ledger.replays import jobs

    _print_job(
        with_books(lambda connection: jobs.tell(connection, plan_id, act, actor=actor(), stop_on_fail=stop_on_fail)),
        as_json,
    )


def _follow(plan_id: int, *, shows_progress: bool, as_json: bool) -> None:
    """Wait until the job ends. Ctrl-C ends the command, not the job."""
    from deploy.cli.replay_watch import follow
    from shared.ledger.replays.jobs import ReplayState

    ended = follow(plan_id, shows_progress=shows_progress)
    _print_job(ended, as_json)
    if ended.state is not ReplayState.DONE:
        raise typer.Exit(1)


def _print_job(job: "Replay", as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    print_fields(
        {
            "plan": job.plan_id,
            "state": job.state + (f" ({job.ended_because})" if job.ended_because else ""),
            "events": f"{job.done:,} of {job.total:,} done, {job.in_flight:,} in flight",
            "predicted": _counts(job.predicted),
            "outcomes": _counts(job.results),
            "rate": rate_in_words(job.rate),
            "canary, stop on": f"{job.canary}, {job.stop_on_fail:.3%} failed again",
            "planned": f"{when(job.planned_at)} by {job.planned_by}",
            "started": f"{when(job.started_at)} by {job.started_by}" if job.started_at else None,
            "why": cell(job.why).plain,
        }
    )


def _counts(events: dict[str, int]) -> str | None:
    return ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(events.items())) or None
