"""What the merchant's other systems hear: facts as they stand in the outbox, each with a JSON Schema."""

from datetime import datetime
from typing import Any, NamedTuple

import orjson

from shared.ledger.books import Batch, Order
from shared.ledger.incoming import Incoming
from shared.ledger.payment_money import Money, paid_with, price_of
from shared.ledger.transitions import ReviewReason, queue_of

VERSION = 1


class OutboxFact(NamedTuple):
    """One message for the exchange of orders, kept in order among the facts of the same subject."""

    name: str
    """What happened, e.g. `order.paid`: the schema's name."""
    routing_key: str
    subject: str
    """The order, batch or event it is about."""
    body: str
    """JSON."""


def fact_id(name: str, endpoint: str, event_id: str) -> str:
    """The same for every delivery of a fact: what a subscriber dedupes by."""
    return f"{name}/{endpoint}/{event_id}"


def order_moved(order: Order, incoming: Incoming, at: datetime) -> OutboxFact:
    """`order.paid` or `order.fulfilled_unsettled`, by a webhook."""
    name = f"order.{order.state}"
    return _fact(
        name,
        incoming,
        at,
        subject=order.order_id,
        order_id=order.order_id,
        amount_minor=order.amount_minor,
        currency=order.currency,
        **_paid(paid_with(incoming.confirmation, order)),
        requirement_id=order.requirement_id,
        chain_receipt_id=order.chain_receipt_id,
    )


def order_paid(order: Order, at: datetime) -> OutboxFact:
    """`order.paid` of a payment whose webhook never came: its session fits the order, so the price was paid."""
    return _fact_of_order(
        order,
        at,
        event_id=None,
        **_paid(price_of(order)),
        requirement_id=order.requirement_id,
        chain_receipt_id=order.chain_receipt_id,
    )


def _paid(money: Money | None) -> dict[str, Any]:
    """Nothing of usage, which is no revenue yet. An amount may be no whole number of minor units, so it is text."""
    if money is None:
        return {}
    return {"paid_amount_minor": format(money.amount_minor, "f"), "paid_currency": money.currency}


class Settlement(NamedTuple):
    """What a statement says of the usage of one order, and of the batch that holds it."""

    metered_usage_id: str
    settlement_batch_id: str
    pricing_band: str
    statement_currency: str
    """Of the amounts; the order's own unless a person accepted another."""
    token_symbol: str
    provider_gross_amount_minor: str
    protocol_fee_minor: str
    provider_receivable_minor: str
    settled_at: datetime | None
    """None where it was given up."""


def order_settled(order: Order, settlement: Settlement, at: datetime) -> OutboxFact:
    """`order.settled`, `order.uncollectible` or `order.written_off`: each is the end of an order, and told once."""
    return _fact_of_order(
        order,
        at,
        requirement_id=order.requirement_id,
        chain_receipt_id=order.chain_receipt_id,
        **settlement._asdict(),
    )


def batch_settled(batch: Batch, incoming: Incoming, at: datetime) -> OutboxFact:
    return _fact(
        "batch.settled",
        incoming,
        at,
        subject=batch.settlement_batch_id,
        settlement_batch_id=batch.settlement_batch_id,
        pricing_band=batch.pricing_band,
        chain_receipt_id=batch.chain_receipt_id,
        usage_event_digest=batch.usage_event_digest,
        settled_at=batch.settled_at,
    )


def review_opened(reason: ReviewReason, order_id: str | None, incoming: Incoming, at: datetime) -> OutboxFact:
    queue = queue_of(reason)
    return _fact(
        "review.opened",
        incoming,
        at,
        routing_key=f"review.opened.{queue}",
        subject=order_id or incoming.event.id,
        fact_id=f"{fact_id('review.opened', *incoming.key)}/{reason}/{incoming.digest.hex()[:16]}",
        queue=queue,
        reason=reason,
        order_id=order_id,
        about=None,
    )


def difference_found(
    reason: ReviewReason, about: str, review_id: int, order_id: str | None, endpoint: str, at: datetime
) -> OutboxFact:
    """A review that no event opens; one that was closed may be opened anew, so its number is part of the fact's id."""
    queue = queue_of(reason)
    body = {
        "fact": "review.opened",
        "version": VERSION,
        "fact_id": f"{fact_id('review.opened', endpoint, about)}/{reason}/{review_id}",
        "at": at,
        "endpoint": endpoint,
        "event_id": None,
        "queue": queue,
        "reason": reason,
        "order_id": order_id,
        "about": about,
    }
    return OutboxFact(
        name="review.opened",
        routing_key=f"review.opened.{queue}",
        subject=order_id or about,
        body=orjson.dumps(body).decode(),
    )


def order_cancelled(order: Order, at: datetime) -> OutboxFact:
    return _fact_of_order(order, at)


def _fact_of_order(order: Order, at: datetime, **fields: object) -> OutboxFact:
    """That no webhook told: the order comes to a state once, which is what its id is made of."""
    name = f"order.{order.state}"
    body: dict[str, Any] = {
        "fact": name,
        "version": VERSION,
        "fact_id": fact_id(name, order.endpoint, order.order_id),
        "at": at,
        "endpoint": order.endpoint,
        "order_id": order.order_id,
        "amount_minor": order.amount_minor,
        "currency": order.currency,
        **fields,
    }
    return OutboxFact(name=name, routing_key=name, subject=order.order_id, body=orjson.dumps(body).decode())


def _fact(
    name: str, incoming: Incoming, at: datetime, *, subject: str, routing_key: str | None = None, **fields: object
) -> OutboxFact:
    endpoint, event_id = incoming.key
    body = {
        "fact": name,
        "version": VERSION,
        "fact_id": fact_id(name, endpoint, event_id),
        "at": at,
        "endpoint": endpoint,
        "event_id": event_id,
        **fields,
    }
    return OutboxFact(name=name, routing_key=routing_key or name, subject=subject, body=orjson.dumps(body).decode())
