"""Prints a review for the person who decides on it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deploy.cli.output import print_table, say
from shared.ledger.decisions import Resolution
from shared.ledger.evidence import platform_says, sides
from shared.ledger.transitions import OF_SESSIONS, ReviewReason
from shared.plurals import counted

if TYPE_CHECKING:
    from shared.ledger.resolve import Resolved
    from shared.ledger.reviews import RecordedReview

WAITING = (ReviewReason.UNKNOWN_CHALLENGE_HASH, ReviewReason.UNKNOWN_METERED_CHALLENGE_HASH)


def decision_message(done: "Resolved") -> str:
    """State in one line what a decision has changed."""
    order = f", order {done.order_id}" if done.order_id else ""
    if done.done == "unchanged":
        return f"review {done.review_id} stays as it is: the reason today is still {done.reason}"
    if done.done == "proposed":
        return f"review {done.review_id} waits for a second person to approve: {done.resolution}{order}"
    if done.resolution is Resolution.ACCEPT_DIFFERENCE:
        accepted = "the difference is accepted; an order that waited for it takes the state of its batch"
        return f"review {done.review_id} is closed: {accepted}"
    state = f" is {done.order_state}" if done.order_state else ""
    if done.outcome is None:
        return f"review {done.review_id} is closed: {done.resolution}{order}{state}"
    outcome = f"its event is {done.outcome}" + (f" ({done.reason})" if done.reason else "")
    further = (
        f"; with it {counted(done.closed_with_it, 'further review')} of its challenge" if done.closed_with_it else ""
    )
    return f"review {done.review_id} is closed: {done.resolution}, {outcome}{order}{state}{further}"


def proposal_text(review: "RecordedReview") -> str | None:
    proposed = review.proposed
    if proposed is None:
        return None
    order = f" {proposed['order_id']}" if proposed["order_id"] else ""
    return f"{proposed['resolution']}{order} by {proposed['by']}: {proposed['why']}"


def suggestion_text(review: "RecordedReview") -> str | None:
    suggested = review.suggested
    if suggested is None:
        return None
    order = f" {suggested['order_id']}" if suggested["order_id"] else ""
    return f"{suggested['resolution']}{order}: {suggested['why']}"


def print_platform(evidence: Mapping[str, Any]) -> None:
    """Print what the platform answered when a worker requested its evidence for the review."""
    answer = platform_says(evidence)
    if answer is None:
        return
    for title, part in answer.parts:
        print_table(
            (title, f"the platform's answer of {answer.asked_at}", part.ours or "", ""),
            [(each.field, each.theirs, each.ours, "≠" if each.differs else "") for each in part.said],
            empty="",
        )
    if answer.nothing:
        say(f"the platform's answer of {answer.asked_at}: {answer.nothing}")


def print_next_steps(review: "RecordedReview", resolutions: str) -> None:
    """Print the commands that decide on the review; `resolutions` lists what its reason permits."""
    if review.proposed:
        say(f"a second person may approve it: kessai reviews approve {review.review_id} --version {review.version}")
        return
    if review.suggested:
        say(f"to do as suggested: kessai reviews follow {review.review_id} --version {review.version}")
    say(
        f"to decide: kessai reviews resolve {review.review_id} RESOLUTION --version {review.version} --why TEXT; "
        f"RESOLUTION is one of {resolutions}"
    )
    if review.reason in OF_SESSIONS:
        say("the review closes by itself when its webhook arrives: have Siglume deliver it again")
    if review.reason in WAITING:
        say("the review closes by itself when its order is registered: kessai orders add ... --challenge-hash HASH")


def print_sides(evidence: Mapping[str, Any]) -> None:
    """Print what the platform states beside what the books hold."""
    compared = sides(evidence)
    if compared.ours is None:
        print_table(
            ("field", compared.theirs),
            [(each.field, each.theirs) for each in compared.said],
            empty="the event carries no evidence",
        )
    else:
        print_table(
            ("field", compared.theirs, compared.ours, ""),
            [(each.field, each.theirs, each.ours, "≠" if each.differs else "") for each in compared.said],
            empty="",
        )
