"""Which errors does the checkout API answer, in addition to those of every API?"""

from http import HTTPStatus
from typing import Final

from ingress.api.problems import CONFLICT, INVALID, NOT_FOUND, Kind, Refused, of_any
from shared.ledger.checkout_rows import ChallengeTaken, OrderNotPayable
from shared.ledger.checkouts import PaymentUnderway
from shared.ledger.orders import InvalidOrder, OrderConflict, OrderNotFound, OrderNotPending

DOCUMENT: Final = "/openapi.json"

METERED: Final = Kind(
    HTTPStatus.CONFLICT, "metered-integration-required", "A micro or nano payment, which the shop has not opted in to"
)
NOT_ENABLED: Final = Kind(HTTPStatus.CONFLICT, "hosted-checkout-not-enabled", "No Hosted Checkout for this shop")
CHALLENGES_NOT_ENABLED: Final = Kind(HTTPStatus.CONFLICT, "challenges-not-enabled", "No challenges for this shop")
NOT_PAYABLE: Final = Kind(HTTPStatus.CONFLICT, "order-not-payable", "The order is paid or closed")
UNDERWAY: Final = Kind(HTTPStatus.CONFLICT, "payment-underway", "Siglume took the payment; its webhook is on the way")
PLATFORM_UNAVAILABLE: Final = Kind(HTTPStatus.SERVICE_UNAVAILABLE, "platform-unavailable", "Siglume does not answer")
TOO_SLOW: Final = Kind(HTTPStatus.SERVICE_UNAVAILABLE, "too-slow", "Not done in time")
PLATFORM_REFUSED: Final = Kind(HTTPStatus.BAD_GATEWAY, "platform-refused", "Siglume refuses what Kessai asks of it")
DOES_NOT_FIT: Final = Kind(HTTPStatus.BAD_GATEWAY, "session-does-not-fit", "Siglume's session is not that of the order")

TAKEN: Final = (
    "The challenge of this attempt belongs to another order already, so no buyer was sent to pay it. The log names "
    "both: report it to Siglume."
)
"""The other order is not named: it may be another shop's."""

OF_STARTS: Final = (METERED, NOT_PAYABLE, UNDERWAY, CONFLICT)
OF_SESSIONS: Final = (NOT_ENABLED, PLATFORM_UNAVAILABLE, PLATFORM_REFUSED, DOES_NOT_FIT)


def refusal_of(error: Exception) -> Refused:
    """The refusal that a caller gets for an error."""
    match error:
        case OrderNotFound():
            return Refused(NOT_FOUND, f"No order {error.order_id!r} for this token: PUT /orders/{{order_id}} first.")
        case OrderConflict() | OrderNotPending():
            return Refused(CONFLICT, str(error))
        case InvalidOrder():
            return Refused(INVALID, str(error))
        case OrderNotPayable():
            return Refused(NOT_PAYABLE, str(error))
        case PaymentUnderway():
            return Refused(UNDERWAY, str(error))
        case ChallengeTaken():
            return Refused(CONFLICT, TAKEN)
        case _:
            return of_any(error, document=DOCUMENT)
