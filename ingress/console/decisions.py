"""What would a decision on a review do, and what did it do? Pure; makes the sentences that the page shows."""

from typing import Final, assert_never

from ingress.console.formats import words
from ingress.console.messages import sentences
from shared.ledger.books import Outcome
from shared.ledger.decisions import Refusal, Resolution, Unchanged, Verdict
from shared.ledger.foresight import Choice
from shared.ledger.resolve import Resolved
from shared.plurals import counted
from shared.remedies import Remedy

TITLES: Final = {
    Resolution.LINK_ORDER: "Link it to an order",
    Resolution.ACCEPT_METERED: "Accept the metered usage",
    Resolution.ACCEPT_MISMATCH: "Accept it although it does not match",
    Resolution.REJECT: "Reject it",
    Resolution.REPROCESS: "Process it again",
    Resolution.ACCEPT_SESSION: "Take the payment without its webhook",
    Resolution.ACCEPT_DIFFERENCE: "Accept the difference",
}
LINKED: Final = (
    "The payment counts for the order that you name, if it matches, and its challenge belongs to that order then."
)
SECOND: Final = "A second person must approve it first."


def consequence(choice: Choice, *, needs_second: bool) -> tuple[str, bool]:
    """What will happen, and whether it is possible."""
    match choice.answer:
        case Refusal(why, remedy):
            return sentences(why, remedy), remedy is Remedy.ACCEPT_MISMATCH  # it is possible with the box ticked
        case Unchanged():
            return "Today's rules give the same result, so it would stay as it is.", True
        case Verdict() as verdict:
            effect = _effect(choice.resolution, verdict)
        case None:
            effect = LINKED
        case never:
            assert_never(never)
    return f"{effect} {SECOND}" if needs_second else effect, True


def _effect(resolution: Resolution, verdict: Verdict) -> str:
    ruling = verdict.ruling
    accepted = f" despite the {words(verdict.accepted)}" if verdict.accepted else ""
    if ruling.order is not None and ruling.moved_from is not None:
        return f"{ruling.order.order_id} becomes {words(ruling.order.state)}{accepted}."
    if ruling.batch is not None:
        return f"Batch {ruling.batch.settlement_batch_id} counts as settled{accepted}."
    if ruling.review is not None:
        return f"It becomes a review of another reason: {words(ruling.review)}."
    if resolution is Resolution.ACCEPT_DIFFERENCE:
        return "It is closed with your reason and counts as accepted. An order that waits for it ends with its batch."
    if resolution is Resolution.REJECT:
        return "It is closed without effect: no order changes, and its event, if it has one, counts as ignored."
    if ruling.outcome is Outcome.DUPLICATE:
        return "The books hold the payment already: it is closed, and no order changes."
    because = f" ({words(ruling.reason)})" if ruling.reason else ""
    return f"Its event becomes {words(ruling.outcome)}{because}, and no order changes."


def finished(done: Resolved) -> str:
    order = f" {done.order_id}" if done.order_id else ""
    if done.done == "unchanged":
        return f"It stays as it is: today's rules still give {words(done.reason or 'the same result')}."
    if done.done == "proposed":
        return f"Proposed: {words(done.resolution)}{order}. A second person must approve it."
    if done.resolution is Resolution.ACCEPT_DIFFERENCE:
        return "Closed: the difference is accepted. An order that waited for it ends with its batch at the next run."
    moved = f"{order} is {words(done.order_state)}." if done.order_id and done.order_state else ""
    further = f" {counted(done.closed_with_it, 'further review')} closed with it." if done.closed_with_it else ""
    if done.outcome is None:
        return f"Closed: {words(done.resolution)}.{moved}"
    because = f" ({words(done.reason)})" if done.reason else ""
    return f"Closed: {words(done.resolution)}; its event is {words(done.outcome or '')}{because}.{moved}{further}"
