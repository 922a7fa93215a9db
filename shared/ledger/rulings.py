"""What does each confirmation of a batch mean for the books? Pure: rows in, changes out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from shared.ledger.books import Batch, Books, Claim, OpenReview, Order, Outcome, Shop
from shared.ledger.changes import Changes, ClaimRow, ReviewRow, Ruling, Tally
from shared.ledger.facts import batch_settled, order_moved, review_opened
from shared.ledger.incoming import Incoming, parse_time
from shared.ledger.transitions import Fact, Move, Nothing, OrderState, Review, ReviewReason, next_state
from shared.sdrp.classify import UNREADABLE, MeteredBatchSettled, MeteredUsageAccepted, StandardSettled, Unknown
from shared.sdrp.money import band_for

Payment = StandardSettled | MeteredUsageAccepted


HELD = "held_or_decided"
"""Reason for which an event is not ruled on anew: a person holds its review, or has decided it."""
DECIDED = "decided"
"""Reason of an event that would open a review which is closed: the claim that told so is forgotten, the answer not."""


def rule_batch(batch: Sequence[Incoming], books: Books, shops: Mapping[str, Shop], *, now: datetime) -> Changes:
    """Rule on each event in turn, each one seeing what the earlier ones did."""
    changes = Changes()
    claims, batches, reviews = dict(books.claims), dict(books.batches), dict(books.reviews)
    for incoming in batch:
        claim = claims.get(incoming.key)
        review = reviews.pop(incoming.key, None) if _asks_for_new_ruling(incoming, claim) else None
        if claim is not None and review is None and not (_is_open(claim) and claim.digest == incoming.digest):
            _add_known(changes, incoming, claim, books, now)
            continue
        order, spent_on = _order_of(incoming, books, changes), spent_by(incoming, books.spent, changes)
        is_rejected = incoming.challenge_hash in books.rejected
        ruling = rule(incoming, order, batches, shops, spent_on=spent_on, is_rejected=is_rejected)
        if ruling.batch is not None:
            batches[ruling.batch.settlement_batch_id] = ruling.batch
        if review is not None:
            _add_new_ruling(changes, incoming, review, ruling, now)
            continue
        if claim is not None:
            changes.no_longer_dead.append(incoming)
        ruling = _unless_decided(ruling, incoming, books)
        claims[incoming.key] = Claim(incoming.envelope.receipt_id, incoming.digest, ruling.outcome)
        _add_ruling(changes, incoming, ruling, now)
    return changes


def spent_by(incoming: Incoming, spent: Mapping[tuple[str, str], str], changes: Changes) -> str | None:
    """The order that its requirement has paid, by what was looked up or by what is about to be written."""
    requirement = incoming.requirement
    return None if requirement is None else changes.spent.get(requirement) or spent.get(requirement)


def rule(
    incoming: Incoming,
    order: Order | None,
    batches: Mapping[str, Batch],
    shops: Mapping[str, Shop],
    *,
    spent_on: str | None = None,
    is_rejected: bool = False,
) -> Ruling:
    """What this event, seen for the first time, means. `spent_on` is the order that its requirement has paid.

    `is_rejected` says that a person has rejected the payment of its challenge, which then moves no order by itself.
    """
    confirmation = incoming.confirmation
    shop = shops.get(incoming.envelope.endpoint, Shop())
    match confirmation:
        case None:
            return Ruling(Outcome.IGNORED, reason=incoming.ignored)
        case Unknown():
            return _to_review(ReviewReason(confirmation.reason))
        case MeteredBatchSettled():
            if shop.merchant is not None and not _agrees(confirmation.merchant, shop.merchant):
                return _to_review(ReviewReason.MERCHANT_MISMATCH)
            return _rule_settlement(confirmation, batches)
        case StandardSettled() | MeteredUsageAccepted():
            return _refused_at_the_shop(confirmation, shop, order) or _rule_payment(
                incoming, confirmation, order, spent_on, is_rejected=is_rejected
            )
    assert_never(confirmation)


def rule_waiting(incoming: Incoming, order: Order, *, spent_on: str | None) -> Ruling:
    """What an event that waited for its order means, now that the order is known."""
    confirmation = incoming.confirmation
    if not isinstance(confirmation, StandardSettled | MeteredUsageAccepted):
        raise TypeError(f"event {incoming.event.id} names no order")
    return _rule_payment(incoming, confirmation, order, spent_on)


def rule_accepted(incoming: Incoming, order: Order, *, spent_on: str | None) -> Ruling:
    """What a payment means for an order when a person takes it for that order although the two do not fit."""
    payment = incoming.confirmation
    if not isinstance(payment, StandardSettled | MeteredUsageAccepted):
        raise TypeError(f"event {incoming.event.id} names no order")
    following = next_state(order.state, _fact(payment, order, spent_on))
    match following:
        case Review(reason):
            return _to_review(reason, order, spent_on if reason is ReviewReason.REQUIREMENT_CONFLICT else None)
        case Nothing():
            return Ruling(Outcome.DUPLICATE, order=order)
        case Move(to):
            return Ruling(Outcome.APPLIED, order=_moved(incoming, payment, order, to), moved_from=order.state)
    assert_never(following)


def _is_open(claim: Claim) -> bool:
    """A dead letter holds its event id only until the event can be applied."""
    return claim.outcome is Outcome.DEAD_LETTER


def _order_of(incoming: Incoming, books: Books, changes: Changes) -> Order | None:
    hash_ = incoming.challenge_hash
    order = None if hash_ is None else books.orders.get(hash_)
    return None if order is None else changes.orders.get(order.order_id, order)


def _to_review(reason: ReviewReason, order: Order | None = None, spent_on: str | None = None) -> Ruling:
    return Ruling(Outcome.REVIEW, reason=reason, order=order, review=reason, spent_on=spent_on)


def _unless_decided(ruling: Ruling, incoming: Incoming, books: Books) -> Ruling:
    """A question that was answered for these very bytes is not asked again."""
    if ruling.review is None or (*incoming.key, str(ruling.review), incoming.digest) not in books.decided:
        return ruling
    return Ruling(Outcome.DUPLICATE, reason=DECIDED, order=ruling.order)


def _refused_at_the_shop(payment: Payment, shop: Shop, order: Order | None) -> Ruling | None:
    if isinstance(payment, MeteredUsageAccepted) and not shop.allow_metered_payments:
        return _to_review(ReviewReason.METERED_INTEGRATION_REQUIRED, order)
    if shop.merchant is not None and not _agrees(payment.merchant, shop.merchant):
        return _to_review(ReviewReason.MERCHANT_MISMATCH, order)
    return None


def _rule_payment(
    incoming: Incoming, payment: Payment, order: Order | None, spent_on: str | None, *, is_rejected: bool = False
) -> Ruling:
    metered = isinstance(payment, MeteredUsageAccepted)
    if order is None:
        return _to_review(
            ReviewReason.UNKNOWN_METERED_CHALLENGE_HASH if metered else ReviewReason.UNKNOWN_CHALLENGE_HASH
        )
    if_it_fits = rule_accepted(incoming, order, spent_on=spent_on)
    if is_rejected and if_it_fits.moved_from is not None:
        return _to_review(ReviewReason.REJECTED_PAYMENT, order)
    misfit = _misfit(incoming, payment, order)
    return if_it_fits if misfit is None else _to_review(misfit, order)


def _fact(payment: Payment, order: Order, spent_on: str | None) -> Fact:
    again = order.requirement_id == payment.requirement_id
    if not again and spent_on not in (None, order.order_id):
        return Fact.SPENT_REQUIREMENT
    if isinstance(payment, MeteredUsageAccepted):
        return Fact.USAGE_AGAIN if again else Fact.USAGE
    return Fact.PAYMENT_AGAIN if again else Fact.PAYMENT


def _misfit(incoming: Incoming, payment: Payment, order: Order) -> ReviewReason | None:
    """The first field that the event carries and the order contradicts."""
    if order.endpoint != incoming.envelope.endpoint:
        return ReviewReason.MERCHANT_MISMATCH
    if not _agrees(payment.currency, order.currency):
        return ReviewReason.CURRENCY_MISMATCH
    if payment.amount is not None and payment.amount != order.amount_minor:
        return ReviewReason.AMOUNT_MISMATCH
    if payment.pricing_band != band_for(order.amount_minor, order.currency):
        return ReviewReason.BAND_MISMATCH
    return None


def _agrees(carried: object, ours: str) -> bool:
    """Text that the event does not carry contradicts nothing; text that cannot be read contradicts everything."""
    if carried is None:
        return True
    return carried is not UNREADABLE and str(carried).casefold() == ours.casefold()


def _moved(incoming: Incoming, payment: Payment, order: Order, to: OrderState) -> Order:
    return Order(
        order.order_id,
        order.endpoint,
        order.amount_minor,
        order.currency,
        to,
        payment.requirement_id,
        payment.chain_receipt_id if isinstance(payment, StandardSettled) else order.chain_receipt_id,
        _time(incoming) if to is OrderState.PAID else order.paid_at,
    )


def _time(incoming: Incoming) -> datetime:
    return incoming.occurred_at or incoming.envelope.received_at


def _rule_settlement(confirmation: MeteredBatchSettled, batches: Mapping[str, Batch]) -> Ruling:
    settled = Batch(
        settlement_batch_id=confirmation.settlement_batch_id,
        pricing_band=confirmation.pricing_band,
        chain_receipt_id=confirmation.chain_receipt_id,
        usage_event_digest=confirmation.usage_event_digest,
        settled_at=parse_time(confirmation.settled_at),
        currency=confirmation.currency.upper() if isinstance(confirmation.currency, str) else None,
        gross=confirmation.gross if isinstance(confirmation.gross, Decimal) else None,
        usage_count=confirmation.usage_count,
    )
    known = batches.get(settled.settlement_batch_id)
    if known is None:
        return Ruling(Outcome.APPLIED, batch=settled)
    if _same_settlement(known, settled):
        return Ruling(Outcome.DUPLICATE)
    return _to_review(ReviewReason.BATCH_CONFLICT)


def _same_settlement(known: Batch, told: Batch) -> bool:
    return (known.chain_receipt_id, known.usage_event_digest, known.pricing_band) == (
        *(told.chain_receipt_id, told.usage_event_digest, told.pricing_band),
    )


def _asks_for_new_ruling(incoming: Incoming, claim: Claim | None) -> bool:
    """Whether a replay brings the very bytes of a claim to be ruled on anew."""
    mark = incoming.envelope.replay
    if mark is None or not mark.rule_again or claim is None:
        return False
    return claim.digest == incoming.digest and not claim.has_effect


def _add_known(changes: Changes, incoming: Incoming, claim: Claim, books: Books, now: datetime) -> None:
    """The books hold this event id already. What the broker merely delivers again is not even counted."""
    if claim.digest != incoming.digest:
        _add_conflict(changes, incoming, books, now)
    elif incoming.envelope.replay is not None:
        held = HELD if incoming.envelope.replay.rule_again else None
        _settle(changes, incoming, Ruling(Outcome.DUPLICATE, reason=held), now)
    elif claim.receipt_id != incoming.envelope.receipt_id:
        changes.repeats[incoming.key] += 1
        _settle(changes, incoming, Ruling(Outcome.DUPLICATE), now)


def _add_conflict(changes: Changes, incoming: Incoming, books: Books, now: datetime) -> None:
    """The same event id with other bytes: the first stands, the second is kept and looked at."""
    if incoming.envelope.replay is None:
        changes.repeats[incoming.key] += 1
    changes.conflicts.append(incoming)
    ruling = _unless_decided(_to_review(ReviewReason.EVENT_ID_CONFLICT), incoming, books)
    add_effects(changes, incoming, ruling, now)
    _settle(changes, incoming, ruling, now)


def _add_new_ruling(changes: Changes, incoming: Incoming, review: OpenReview, ruling: Ruling, now: datetime) -> None:
    """A review whose event now means something else closes; a verdict that a person had before changes nothing."""
    if ruling.review not in review.known:
        changes.reruled.append((review, ClaimRow(incoming, ruling)))
        add_effects(changes, incoming, ruling, now)
    _settle(changes, incoming, ruling, now)


def _add_ruling(changes: Changes, incoming: Incoming, ruling: Ruling, now: datetime) -> None:
    changes.claims[incoming.key] = ClaimRow(incoming, ruling)
    changes.archive.append(incoming)
    add_effects(changes, incoming, ruling, now)
    _settle(changes, incoming, ruling, now)


def add_effects(changes: Changes, incoming: Incoming, ruling: Ruling, now: datetime) -> None:
    """Book what the ruling does to an order, a batch or the review desk, and what must be told of it."""
    row = ClaimRow(incoming, ruling)
    if ruling.moved_from is not None and ruling.order is not None:
        changes.orders[ruling.order.order_id] = ruling.order
        changes.moves.append(row)
        if ruling.order.requirement_id is not None:
            changes.spent[incoming.envelope.endpoint, ruling.order.requirement_id] = ruling.order.order_id
        changes.told.append(order_moved(ruling.order, incoming, now))
    if ruling.batch is not None:
        changes.batches.append(row)
        changes.told.append(batch_settled(ruling.batch, incoming, now))
    if ruling.review is not None:
        _add_review(changes, row, ruling.review, now)


def _add_review(changes: Changes, row: ClaimRow, reason: ReviewReason, now: datetime) -> None:
    incoming, order = row.incoming, row.ruling.order
    told = review_opened(reason, order.order_id if order else None, incoming, now)
    changes.reviews.append(ReviewRow(incoming, reason, order, told, row.ruling.spent_on))
    changes.told.append(told)


def _settle(changes: Changes, incoming: Incoming, ruling: Ruling, now: datetime) -> None:
    """Count a delivery by what it came to; an item of a replay is told what became of it."""
    envelope, kind, outcome = incoming.envelope, incoming.kind, ruling.outcome
    changes.outcomes[envelope.endpoint, kind, outcome, ruling.reason or ""] += 1
    if envelope.replay is not None:
        changes.no_longer_dead.append(incoming)
        changes.replayed.setdefault(envelope.replay, ruling)  # it may have been handed over twice
        return
    key = (envelope.endpoint, kind, outcome, envelope.key_fingerprint)
    seen = changes.tallies.get(key, _NO_TALLY)
    waited = (now - envelope.received_at).total_seconds()
    changes.tallies[key] = Tally(seen.deliveries + 1, max(seen.longest_wait, waited))


_NO_TALLY = Tally(0, 0.0)
