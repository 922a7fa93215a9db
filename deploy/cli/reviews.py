"""`kessai reviews`: what waits for a person's decision, and deciding it."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.books import actor, with_books
from deploy.cli.options import ALL, state_or_all, states_and_all
from deploy.cli.review_words import proposal, say_what_may_be_done, show_platform, show_sides, story, suggestion
from deploy.cli.show import AsJson, Limit, print_fields, print_json, print_table, printable
from deploy.cli.times import Since, Until
from shared.ledger.decisions import Decision, Resolution, choices
from shared.ledger.transitions import ReviewQueue, ReviewReason, ReviewState

if TYPE_CHECKING:
    from shared.ledger.audit import RecordedAct
    from shared.ledger.database import Connection
    from shared.ledger.notes import Note
    from shared.ledger.reviews import RecordedReview

app = typer.Typer(name="reviews", help="What waits for a person's decision.", no_args_is_help=True)

MAX_VERSION = 2**31 - 1


ReviewId = Annotated[int, typer.Argument(metavar="REVIEW_ID", min=1, max=2**63 - 1, help="See `kessai reviews list`.")]
OfQueue = Annotated[ReviewQueue | None, typer.Option("--queue", help="Only reviews of this desk.")]
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
OfReason = Annotated[ReviewReason | None, typer.Option("--reason", help="Only reviews of this reason.")]
Reasons = Annotated[list[ReviewReason], typer.Option("--reason", help="Of this reason; may be repeated.")]
OfAssignee = Annotated[str | None, typer.Option("--assignee", help="Only reviews that this person holds, as cli:ann.")]
OfEndpoint = Annotated[str | None, typer.Option("--endpoint", help="Only reviews of this endpoint.")]
OfOrder = Annotated[str | None, typer.Option("--order", metavar="ORDER_ID", help="Only reviews of this order.")]
OfChallenge = Annotated[str | None, typer.Option("--challenge-hash", help="Only reviews of this challenge.")]
Version = Annotated[
    int | None, typer.Option(min=1, max=MAX_VERSION, help="The version you saw: refused when it changed since.")
]
TakeOver = Annotated[bool, typer.Option("--take-over", help="Also when somebody else holds it.")]
Text = Annotated[str, typer.Argument(metavar="TEXT", help="What the next person should know.")]
How = Annotated[Resolution, typer.Argument(metavar="RESOLUTION", help="What becomes of it; `show` says which may.")]
ForOrder = Annotated[str | None, typer.Option("--order", metavar="ORDER_ID", help="For link-order: which one.")]
AcceptMismatch = Annotated[bool, typer.Option("--accept-mismatch", help="Although the payment does not fit the order.")]
Why = Annotated[str, typer.Option(help="Kept with the review, e.g. 'refunded by hand, ticket 4711'.")]
OwnWhy = Annotated[str | None, typer.Option("--why", help="Kept with the review; else the suggestion's own reason.")]


@app.command("list")
def list_reviews(
    limit: Limit = 50,
    queue: OfQueue = None,
    state: InState = None,
    reason: OfReason = None,
    assignee: OfAssignee = None,
    endpoint: OfEndpoint = None,
    order: OfOrder = None,
    challenge_hash: OfChallenge = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """The newest reviews, open and closed."""
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
        empty="no reviews" + (" like that" if wanted != reviews.ReviewFilter() else ": nothing waits for a decision"),
    )


@app.command()
def show(review_id: ReviewId, as_json: AsJson = False) -> None:
    """One review: what the platform says beside what the books say, its notes, who did what, and what may be done."""
    from shared.ledger import audit, notes, reviews

    async def work(
        connection: "Connection",
    ) -> "tuple[RecordedReview, dict[str, Any], list[Note], list[RecordedAct]]":
        review, evidence = await reviews.find(connection, review_id)
        of_review = audit.ActFilter(subject=reviews.subject(review_id))
        noted = await notes.of(connection, notes.NoteThing.REVIEW, str(review_id))
        return review, evidence, noted, await audit.newest(connection, of_review, limit=100)

    review, evidence, noted, acts = with_books(work)
    may = choices(review.reason, challenge_hash=review.challenge_hash, order_id=review.order_id)
    if as_json:
        more = {"evidence": evidence, "notes": noted, "acts": acts}
        print_json(asdict(review) | more | {"choices": may if review.state == ReviewState.OPEN else []})
        return
    print_fields(asdict(review) | {"proposed": proposal(review), "suggested": suggestion(review)})
    show_sides(evidence)
    show_platform(evidence)
    for note in noted:
        print_fields({"note": note.body, "by": note.author, "at": note.at})
    if acts:
        print_table(("at", "who", "did"), [(act.at, act.actor, act.action) for act in acts], empty="")
    if review.state == ReviewState.OPEN:
        say_what_may_be_done(review, ", ".join(may))


@app.command()
def claim(review_id: ReviewId, take_over: TakeOver = False, version: Version = None, as_json: AsJson = False) -> None:
    """Take a review, so that nobody else works on it."""
    from shared.ledger import reviews

    review = with_books(
        lambda connection: reviews.claim(connection, review_id, actor=actor(), take_over=take_over, version=version)
    )
    _tell(review, f"review {review_id} is yours ({review.assignee}), now at version {review.version}", as_json)


@app.command()
def release(review_id: ReviewId, version: Version = None, as_json: AsJson = False) -> None:
    """Give a review back for others to take."""
    from shared.ledger import reviews

    review = with_books(lambda connection: reviews.release(connection, review_id, actor=actor(), version=version))
    _tell(review, f"review {review_id} is with nobody, now at version {review.version}", as_json)


@app.command()
def note(review_id: ReviewId, text: Text, as_json: AsJson = False) -> None:
    """Write down what the next person should know."""
    from shared.ledger import notes

    kept = with_books(
        lambda connection: notes.add(connection, notes.NoteThing.REVIEW, str(review_id), text, author=actor())
    )
    _tell(kept, f"note {kept.note_id} is kept with review {review_id}", as_json)


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
    """Decide on a review; `kessai reviews show` says what may be done with it."""
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
    _tell(done, story(done), as_json)


@app.command()
def follow(review_id: ReviewId, why: OwnWhy = None, version: Version = None, as_json: AsJson = False) -> None:
    """Decide as the platform's evidence suggests; `kessai reviews show` has the suggestion and its reason."""
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
    _tell(done, story(done), as_json)


@app.command()
def reprocess(reason: Reasons, since: Since = None, until: Until = None, as_json: AsJson = False) -> None:
    """Plan to rule again on open reviews of these reasons, as after an upgrade. Nothing happens before the start."""
    from deploy.cli.replay_plan import plan_and_tell
    from shared.ledger.replays.selection import Selection, Source

    selection = Selection(source=Source.REVIEWS, reasons=tuple(reason), since=since, until=until)
    plan_and_tell(selection, as_json=as_json)


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
    _tell(done, story(done), as_json)


@app.command()
def withdraw(review_id: ReviewId, version: Version = None, as_json: AsJson = False) -> None:
    """Take back what was proposed, by whomever."""
    from shared.ledger import resolve

    review = with_books(lambda connection: resolve.withdraw(connection, review_id, actor=actor(), version=version))
    _tell(review, f"review {review_id} has no proposal any more, now at version {review.version}", as_json)


def _tell(done: object, line: str, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        typer.echo(printable(line))
