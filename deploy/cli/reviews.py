"""`kessai reviews`: what waits for a person's decision."""

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer

from deploy.cli.books import with_books
from deploy.cli.show import AsJson, Limit, print_fields, print_json, print_table, say
from shared.ledger.transitions import ReviewQueue, ReviewReason

app = typer.Typer(name="reviews", help="What waits for a person's decision.", no_args_is_help=True)


WAITING = (ReviewReason.UNKNOWN_CHALLENGE_HASH, ReviewReason.UNKNOWN_METERED_CHALLENGE_HASH)


class ReviewState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


ReviewId = Annotated[int, typer.Argument(metavar="REVIEW_ID", min=1, max=2**63 - 1, help="See `kessai reviews list`.")]
OfQueue = Annotated[ReviewQueue | None, typer.Option("--queue", help="Only reviews of this desk.")]
InState = Annotated[ReviewState | None, typer.Option("--state", help="Only reviews in this state.")]


@app.command("list")
def list_reviews(limit: Limit = 50, queue: OfQueue = None, state: InState = None, as_json: AsJson = False) -> None:
    """The newest reviews, open and closed."""
    from shared.ledger import reviews

    found = with_books(lambda connection: reviews.newest(connection, limit=limit, queue=queue, state=state))
    if as_json:
        print_json(found)
        return
    print_table(
        ("review", "opened", "queue", "reason", "state", "endpoint", "event", "order"),
        [(r.review_id, r.opened_at, r.queue, r.reason, r.state, r.endpoint, r.event_id, r.order_id) for r in found],
        empty="no reviews: nothing waits for a decision",
    )


@app.command()
def show(review_id: ReviewId, as_json: AsJson = False) -> None:
    """One review: what the event says beside what the order says."""
    from shared.ledger import reviews

    review, evidence = with_books(lambda connection: reviews.find(connection, review_id))
    if as_json:
        print_json(asdict(review) | {"evidence": evidence})
        return
    print_fields(asdict(review))
    event, order = evidence.get("event") or {}, evidence.get("order")
    if order is None:
        print_table(("field", "the event says"), list(event.items()), empty="the event carries no evidence")
    else:
        print_table(("field", "the event says", "the order says", ""), _beside(event, order), empty="")
    if review.state == ReviewState.OPEN and review.reason in WAITING:
        say("it closes by itself when its order is registered: kessai orders add ... --challenge-hash")


def _beside(event: Mapping[str, Any], order: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """What both speak of comes first."""
    names = sorted({**event, **order}, key=lambda name: (name not in event or name not in order, name in order))
    return [
        (name, event.get(name), order.get(name), _mark(event.get(name), order.get(name)))
        for name in names
        if event.get(name) is not None or order.get(name) is not None
    ]


def _mark(said: object, ours: object) -> str:
    """Marks what differs where both say something; a number may come as text, a currency in any case."""
    return "" if said is None or ours is None or str(said).casefold() == str(ours).casefold() else "≠"
