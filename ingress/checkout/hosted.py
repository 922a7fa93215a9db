"""What does Siglume say to a session for an order? Each answer and each failure is one of a few outcomes."""

import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias, TypeVar

from ingress.checkout.metrics import CheckoutMetrics
from shared.ledger.books import Order
from shared.ledger.checkout_states import Attempt
from shared.ledger.checkouts import OpenedSession
from shared.ledger.hosted_sessions import fact_of, misfits
from shared.sdrp.api.checkout import CheckoutSession, NewCheckoutSession
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.errors import (
    HostedCheckoutNotAvailableError,
    InvalidCall,
    SiglumeApiError,
    Unreachable,
    UnusableAnswer,
)

T = TypeVar("T")

SPENT: Final = frozenset({409, 422})
"""How a nonce is refused that was used up; anything else would befall the next nonce, too."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The session of this order, as far as it is."""

    session: OpenedSession


@dataclass(frozen=True, slots=True)
class Unfit:
    """A session that is not what was asked for."""

    session_id: str
    fields: tuple[str, ...]
    """Those that differ."""


@dataclass(frozen=True, slots=True)
class NotEnabled:
    """No Hosted Checkout for this merchant; of a session that was there, perhaps that one alone is not."""

    code: str
    is_final: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Away:
    """No answer, or none now; the same may be asked again later."""

    why: str
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Denied:
    """The platform will not do it."""

    why: str
    code: str
    status: int | None = None
    """Of the platform's answer."""
    is_final: bool = False
    """Whether it is the platform's last word on what was asked, whatever the token."""

    @property
    def may_be_of_nonce(self) -> bool:
        """Whether that is how a nonce is refused whose session is over."""
        return self.status in SPENT


Outcome: TypeAlias = Answered | Unfit | NotEnabled | Away | Denied


class HostedCheckout:
    """The sessions of one endpoint's merchant."""

    def __init__(self, client: MerchantClient, merchant: str, metrics: CheckoutMetrics) -> None:
        self._client = client
        self._merchant = merchant
        self._metrics = metrics

    async def create(self, order: Order, attempt: Attempt) -> Outcome:
        """The session of the attempt's nonce, whether it is new or there already."""
        try:
            session = await self._timed(
                "create",
                self._client.create_checkout_session(
                    merchant=self._merchant,
                    amount_minor=order.amount_minor,
                    currency=order.currency,
                    nonce=attempt.nonce,
                    success_url=attempt.success_url or "",
                    cancel_url=attempt.cancel_url or "",
                    metadata={"order_id": order.order_id, "attempt_id": attempt.nonce},
                ),
            )
            told: NewCheckoutSession | CheckoutSession = session
            if None in (session.merchant, session.amount_minor, session.currency):
                told = await self._timed("get", self._client.get_checkout_session(session.session_id))
        except (SiglumeApiError, InvalidCall) as error:
            return _failed(error)
        return self._answered(order, told, session.checkout_url)

    async def look(self, order: Order, attempt: Attempt) -> Outcome:
        """How far the attempt's session is."""
        session_id, checkout_url = attempt.session_id or "", attempt.checkout_url or ""
        try:
            told = await self._timed("get", self._client.get_checkout_session(session_id))
        except (SiglumeApiError, InvalidCall) as error:
            return _failed(error)
        return self._answered(order, told, checkout_url, attempt.challenge_hash)

    def _answered(
        self,
        order: Order,
        told: NewCheckoutSession | CheckoutSession,
        checkout_url: str,
        challenge_hash: str | None = None,
    ) -> Outcome:
        """`challenge_hash`: of the session as it was kept."""
        differing = misfits(order, self._merchant, told, challenge_hash)
        if differing:
            return Unfit(told.session_id, differing)
        return Answered(
            OpenedSession(
                told.session_id, checkout_url, told.challenge_hash, told.expires_at, fact=fact_of(told.status)
            )
        )

    async def _timed(self, call: str, answer: Awaitable[T]) -> T:
        began, outcome = time.perf_counter(), "failed"
        try:
            found = await answer
            outcome = "answered"
        finally:
            self._metrics.platform(call, outcome, time.perf_counter() - began)
        return found


def _failed(error: SiglumeApiError | InvalidCall) -> NotEnabled | Away | Denied:
    match error:
        case InvalidCall():
            return Denied(str(error), "INVALID_CALL", is_final=True)
        case HostedCheckoutNotAvailableError():
            return NotEnabled(error.code)
        case UnusableAnswer():
            return Denied(str(error), error.code)
        case SiglumeApiError() if error.retryable or isinstance(error, Unreachable):
            return Away(str(error), error.retry_after)
        case _:
            return Denied(str(error), error.code, error.status, error.is_final)
