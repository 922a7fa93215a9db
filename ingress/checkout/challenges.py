"""Challenges for buyers' programs, which pay an order without Siglume's page."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ingress.api.operation import Thing
from ingress.api.problems import NOT_FOUND, Refused
from ingress.checkout.call import Call
from ingress.checkout.operation import AnyOperation, act
from ingress.checkout.orders import OrderRequest
from ingress.checkout.refusals import CHALLENGES_NOT_ENABLED, OF_STARTS
from shared.ledger import checkouts, orders
from shared.ledger.books import Order
from shared.ledger.checkout_states import Attempt
from shared.ledger.database import Connection
from shared.sdrp.challenge import Challenge, create_challenge
from shared.sdrp.money import Currency


@dataclass(frozen=True, slots=True)
class GivenChallenge:
    """What a buyer's program needs to pay. The books hold its hash before it is given out."""

    order_id: str
    attempt: int
    nonce: str
    challenge: str
    challenge_hash: str
    merchant: str
    amount_minor: int
    currency: Currency


async def give_challenge(call: Call, request: OrderRequest) -> GivenChallenge:
    checkout = call.checkout
    merchant, secret = checkout.shop.merchant, checkout.terms.challenge_secret
    if merchant is None or secret is None:
        raise Refused(
            CHALLENGES_NOT_ENABLED,
            f"Endpoint {call.client.endpoint!r} has no challenge secret or no merchant key here: set "
            "SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET and SIGLUME_DIRECT_PAYMENT_MERCHANT.",
        )
    order_id, now = request.order_id, datetime.now(UTC)
    await call.order_with_attempt(order_id)  # raises OrderNotFound for an order of another endpoint

    def make(order: Order, nonce: str) -> Challenge:
        call.require_payable(order)
        return create_challenge(
            secret=secret.get_secret_value(),
            merchant=merchant,
            amount_minor=order.amount_minor,
            currency=order.currency,
            nonce=nonce,
        )

    async def work(connection: Connection) -> tuple[Order, Attempt, Challenge]:
        attempt, challenge = await checkouts.give_challenge(connection, order_id, make, actor=call.actor, now=now)
        return await orders.find(connection, order_id), attempt, challenge

    order, attempt, challenge = await call.books(work)
    return GivenChallenge(
        order_id=order.order_id,
        attempt=attempt.attempt,
        nonce=attempt.nonce,
        challenge=str(challenge),
        challenge_hash=challenge.hash,
        merchant=merchant,
        amount_minor=order.amount_minor,
        currency=order.currency,
    )


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    act(
        "giveChallenge",
        "/challenges",
        "The challenge of an order for a buyer's program; the same one as long as the attempt is active.",
        OrderRequest,
        Thing(GivenChallenge),
        give_challenge,
        refuses=(*OF_STARTS, CHALLENGES_NOT_ENABLED, NOT_FOUND),
    ),
)
