"""How is a review told to the person who is to decide it?"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deploy.cli.show import print_table, say
from shared.ledger.decisions import Resolution
from shared.ledger.evidence import platform_says, sides
from shared.ledger.transitions import OF_SESSIONS, ReviewReason
from shared.plurals import counted

if TYPE_CHECKING:
    from shared.ledger.resolve import Resolved
    from shared.ledger.reviews import RecordedReview

WAITING = (ReviewReason.UNKNOWN_CHALLENGE_HASH, ReviewReason.UNKNOWN_METERED_CHALLENGE_HASH)


def story(done: "Resolved") -> str:
    order = f", order {done.order_id}" if done.order_id else ""
    if done.done == "unchanged":
        return f"review {done.review_id} stays as it is: today's ruling is {done.reason} still"
    if done.done == "proposed":
        return f"review {done.review_id} waits for a second person to approve: {done.resolution}{order}"
    if done.resolution is Resolution.ACCEPT_DIFFERENCE:
        accepted = "the difference is accepted; an order that waited for it ends with its batch"
        return f"review {done.review_id} is closed: {accepted}"
    state = f" is {done.order_state}" if done.order_state else ""
    if done.outcome is None:
        return f"review {done.review_id} is closed: {done.resolution}{order}{state}"
    outcome = f"its event is {done.outcome}" + (f" ({done.reason})" if done.reason else "")
    further = (
        f"; with it {counted(done.closed_with_it, 'further review')} of its challenge" if done.closed_with_it else ""
    )
    return f"review {done.review_id} is closed: {done.resolution}, {outcome}{order}{state}{further}"


def proposal(review: "RecordedReview") -> str | None:
    proposed = review.proposed
    if proposed is None:
        return None
    order = f" {proposed['order_id']}" if proposed["order_id"] else ""
    return f"{proposed['resolution']}{order} by {proposed['by']}: {proposed['why']}"


def suggestion(review: "RecordedReview") -> str | None:
    suggested = review.suggested
    if suggested is None:
        return None
    order = f" {suggested['order_id']}" if suggested["order_id"] else ""
    return f"{suggested['resolution']}{order}: {suggested['why']}"


def show_platform(evidence: Mapping[str, Any]) -> None:
    """What the platform said when a worker asked about the review."""
    told = platform_says(evidence)
    if told is None:
        return
    for title, said in told.parts:
        print_table(
            (title, f"the platform says, asked {told.asked_at}", said.ours or "", ""),
            [(each.field, each.theirs, each.ours, "≠" if each.differs else "") for each in said.said],
            empty="",
        )
    if told.nothing:
        say(f"the platform, asked {told.asked_at}: {told.nothing}")


def say_what_may_be_done(review: "RecordedReview", may: str) -> None:
    if review.proposed:
        say(f"a second person may approve it: kessai reviews approve {review.review_id} --version {review.version}")
        return
    if review.suggested:
        say(f"to do as suggested: kessai reviews follow {review.review_id} --version {review.version}")
    say(f"kessai reviews resolve {review.review_id} ... --version {review.version} --why TEXT, with one of: {may}")
    if review.reason in OF_SESSIONS:
        say("it closes by itself when its webhook comes: have Siglume deliver it again")
    if review.reason in WAITING:
        say("it closes by itself when its order is registered: kessai orders add ... --challenge-hash")


def show_sides(evidence: Mapping[str, Any]) -> None:
    shown = sides(evidence)
    if shown.ours is None:
        print_table(
            ("field", shown.theirs),
            [(each.field, each.theirs) for each in shown.said],
            empty="the event carries no evidence",
        )
    else:
        print_table(
            ("field", shown.theirs, shown.ours, ""),
            [(each.field, each.theirs, each.ours, "≠" if each.differs else "") for each in shown.said],
            empty="",
        )
