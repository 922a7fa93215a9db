"""`kessai reviews`: cases that wait for a person's decision, and the decisions."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.books import actor, with_books
from deploy.cli.options import (
    ALL,
    MAX_ID,
    AsJson,
    Limit,
    NoteText,
    OnlyChallenge,
    OnlyEndpoint,
    OnlyOrder,
    at_most,
    state_or_all,
    states_and_all,
)
from deploy.cli.output import print_fields, print_json, print_table, printable
from deploy.cli.review_output import (
    decision_message,
    print_next_steps,
    print_platform,
    print_sides,
    proposal_text,
    suggestion_text,
)
from deploy.cli.times import Since, Until
from shared.ledger.decisions import Decision, Resolution, choices
from shared.ledger.transitions import ReviewQueue, ReviewReason, ReviewState

if TYPE_CHECKING:
    from shared.ledger.audit import RecordedAct
    from shared.ledger.database import Connection
    from shared.ledger.notes import Note
    from shared.ledger.reviews import RecordedReview

app = typer.Typer(name="reviews", help="Examine and decide the cases that need a person.", no_args_is_help=True)

MAX_VERSION = 2**31 - 1


ReviewId = Annotated[
    int, typer.Argument(metavar="REVIEW_ID", min=1, callback=at_most(MAX_ID), help="See `kessai reviews list`.")
]
OfQueue = Annotated[ReviewQueue | None, typer.Option("--queue", help="Only this queue.")]
InState = Annotated[
    ReviewState | None,
    typer.Option(
        "--state",
        parser=state_or_all(ReviewState),
        metavar=states_and_all(ReviewState),
        show_default=ALL,
        help="Only reviews in this state.",
    ),
]
OfReason = Annotated[
    ReviewReason | None,
    typer.Option("--reason", metavar="REASON", help="Only this reason, as `kessai reviews list` prints it."),
]
Reasons = Annotated[
    list[ReviewReason], typer.Option("--reason", metavar="REASON", help="Reviews of this reason; may be repeated.")
]
OfAssignee = Annotated[
    str | None, typer.Option("--assignee", help="Only reviews that this person holds, e.g. cli:ann.")
]
Version = Annotated[
    int | None,
    typer.Option(
        min=1,
        callback=at_most(MAX_VERSION),
        help="Version of the review, as `show` printed it; refused when the review has changed since.",
    ),
]
TakeOver = Annotated[bool, typer.Option("--take-over", help="Take the review although somebody else holds it.")]
How = Annotated[Resolution, typer.Argument(metavar="RESOLUTION", help="The decision; `show` lists the permitted ones.")]
ForOrder = Annotated[str | None, typer.Option("--order", metavar="ORDER_ID", help="The order, for link-order.")]
AcceptMismatch = Annotated[
    bool, typer.Option("--accept-mismatch", help="Decide so although the payment does not fit the order.")
]
Why = Annotated[
    str, typer.Option(metavar="TEXT", help="Reason, kept with the review, e.g. 'refunded by hand, ticket 4711'.")
]
OwnWhy = Annotated[
    str | None,
    typer.Option("--why", metavar="TEXT", help="Reason, kept with the review; that of the suggestion when omitted."),
]


@app.command("list")
def list_reviews(
    limit: Limit = 50,
    queue: OfQueue = None,
    state: InState = None,
    reason: OfReason = None,
    assignee: OfAssignee = None,
    endpoint: OnlyEndpoint = None,
    order: OnlyOrder = None,
    challenge_hash: OnlyChallenge = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """List the newest reviews, open and closed."""
    from shared.ledger import reviews

    wanted = reviews.ReviewFilter(queue, state, reason, assignee, endpoint, order, challenge_hash, since, until)
    found = with_books(lambda connection: reviews.newest(connection, wanted, limit=limit))
    if as_json:
        print_json(found)
        return
    print_table(
        ("review", "opened", "queue", "reason", "state", "with", "endpoint", "event or difference", "order"),
        [
            (
                *(r.review_id, r.opened_at, r.queue, r.reason, r.state, r.assignee, r.endpoint),
                *(r.event_id or r.about, r.order_id),
            )
            for r in found
        ],
        empty="no reviews: nothing waits for a decision"
        if wanted == reviews.ReviewFilter()
        else "no review fits all of these filters: omit one of them",
    )


@app.command()
def show(review_id: ReviewId, as_json: AsJson = False) -> None:
    """Show one review: the platform's data beside the books', notes, past actions, and the permitted decisions."""
    from shared.ledger import audit, notes, reviews

    async def work(
        connection: "Connection",
    ) -> "tuple[RecordedReview, dict[str, Any], list[Note], list[RecordedAct]]":
        review, evidence = await reviews.find(connection, review_id)
        of_review = audit.ActFilter(subject=reviews.subject(review_id))
        noted = await notes.of(connection, notes.NoteThing.REVIEW, str(review_id))
        return review, evidence, noted, await audit.newest(connection, of_review, limit=100)

    review, evidence, noted, acts = with_books(work)
    permitted = choices(review.reason, challenge_hash=review.challenge_hash, order_id=review.order_id)
    if as_json:
        more = {"evidence": evidence, "notes": noted, "acts": acts}
        print_json(asdict(review) | more | {"choices": permitted if review.state == ReviewState.OPEN else []})
        return
    print_fields(asdict(review) | {"proposed": proposal_text(review), "suggested": suggestion_text(review)})
    print_sides(evidence)
    print_platform(evidence)
    for note in noted:
        print_fields({"note": note.body, "by": note.author, "at": note.at})
    if acts:
        print_table(("at", "who", "did"), [(act.at, act.actor, act.action) for act in acts], empty="")
    if review.state == ReviewState.OPEN:
        print_next_steps(review, ", ".join(permitted))


@app.command()
def claim(review_id: ReviewId, take_over: TakeOver = False, version: Version = None, as_json: AsJson = False) -> None:
    """Take a review, so that nobody else works on it."""
    from shared.ledger import reviews

    review = with_books(
        lambda connection: reviews.claim(connection, review_id, actor=actor(), take_over=take_over, version=version)
    )
    _print(review, f"review {review_id} is yours ({review.assignee}), now at version {review.version}", as_json)


@app.command()
def release(review_id: ReviewId, version: Version = None, as_json: AsJson = False) -> None:
    """Give a review back for others to take."""
    from shared.ledger import reviews

    review = with_books(lambda connection: reviews.release(connection, review_id, actor=actor(), version=version))
    _print(review, f"review {review_id} is released, now at version {review.version}", as_json)


@app.command()
def note(review_id: ReviewId, text: NoteText, as_json: AsJson = False) -> None:
    """Add a note to a review."""
    from shared.ledger import notes

    kept = with_books(
        lambda connection: notes.add(connection, notes.NoteThing.REVIEW, str(review_id), text, author=actor())
    )
    _print(kept, f"note {kept.note_id} is kept with review {review_id}", as_json)


@app.command()
def resolve(
    review_id: ReviewId,
    resolution: How,
    why: Why,
    order: ForOrder = None,
    accept_mismatch: AcceptMismatch = False,
    version: Version = None,
    as_json: AsJson = False,
) -> None:
    """Decide on a review; `kessai reviews show` lists the permitted decisions."""
    from shared.ledger import resolve
    from shared.settings import Settings

    settings = Settings.from_env()
    decision = Decision(resolution, why, order, accept_mismatch)
    done = with_books(
        lambda connection: resolve.resolve(
            connection,
            review_id,
            decision,
            actor=actor(),
            shops=settings.shops(),
            now=datetime.now(UTC),
            version=version,
            approvals=settings.review_approvals,
        )
    )
    _print(done, decision_message(done), as_json)


@app.command()
def follow(review_id: ReviewId, why: OwnWhy = None, version: Version = None, as_json: AsJson = False) -> None:
    """Decide as the platform's evidence suggests; `kessai reviews show` prints the suggestion and its reason."""
    from shared.ledger import suggested
    from shared.settings import Settings

    settings = Settings.from_env()
    done = with_books(
        lambda connection: suggested.follow(
            connection,
            review_id,
            actor=actor(),
            why=why,
            shops=settings.shops(),
            now=datetime.now(UTC),
            version=version,
            approvals=settings.review_approvals,
        )
    )
    _print(done, decision_message(done), as_json)


@app.command()
def reprocess(reason: Reasons, since: Since = None, until: Until = None, as_json: AsJson = False) -> None:
    """Plan a replay of open reviews of these reasons, e.g. after an upgrade. `kessai replay start` runs the plan."""
    from deploy.cli.replay_plan import plan_and_print
    from shared.ledger.replays.selection import Selection, Source

    selection = Selection(source=Source.REVIEWS, reasons=tuple(reason), since=since, until=until)
    plan_and_print(selection, as_json=as_json)


@app.command()
def approve(review_id: ReviewId, version: Version = None, as_json: AsJson = False) -> None:
    """Carry out what another person proposed."""
    from shared.ledger import resolve
    from shared.settings import Settings

    shops = Settings.from_env().shops()
    done = with_books(
        lambda connection: resolve.approve(
            connection, review_id, actor=actor(), shops=shops, now=datetime.now(UTC), version=version
        )
    )
    _print(done, decision_message(done), as_json)


@app.command()
def withdraw(review_id: ReviewId, version: Version = None, as_json: AsJson = False) -> None:
    """Take back a proposed decision, also that of another person."""
    from shared.ledger import resolve

    review = with_books(lambda connection: resolve.withdraw(connection, review_id, actor=actor(), version=version))
    _print(review, f"review {review_id} has no proposal any more, now at version {review.version}", as_json)


def _print(done: object, line: str, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        typer.echo(printable(line))
