"""What does Siglume answer about the session of an order? Each answer and each failure is one of a few outcomes."""

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
"""The statuses of a refusal because the nonce was used before; any other refusal would meet the next nonce, too."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The session of this order, and its state."""

    session: OpenedSession


@dataclass(frozen=True, slots=True)
class Mismatched:
    """A session that is not that of the order."""

    session_id: str
    fields: tuple[str, ...]
    """The fields that differ."""


@dataclass(frozen=True, slots=True)
class NotEnabled:
    """There is no Hosted Checkout for this merchant; where a session existed, perhaps only the session is gone."""

    code: str
    is_final: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Unavailable:
    """There is no answer now; the call may be repeated later."""

    why: str
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Denied:
    """The platform refuses the call."""

    why: str
    code: str
    status: int | None = None
    """The status of the platform's answer."""
    is_final: bool = False
    """Whether no later call, with any token, would get another answer."""

    @property
    def may_be_of_nonce(self) -> bool:
        """Whether the platform refuses a nonce in this way when its session is over."""
        return self.status in SPENT


Outcome: TypeAlias = Answered | Mismatched | NotEnabled | Unavailable | Denied


class HostedCheckout:
    """The sessions of one endpoint's merchant."""

    def __init__(self, client: MerchantClient, merchant: str, metrics: CheckoutMetrics) -> None:
        self._client = client
        self._merchant = merchant
        self._metrics = metrics

    async def create(self, order: Order, attempt: Attempt) -> Outcome:
        """The session of the attempt's nonce, whether it is new or exists already."""
        try:
            created = await self._timed(
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
            session: NewCheckoutSession | CheckoutSession = created
            if None in (created.merchant, created.amount_minor, created.currency):
                session = await self._timed("get", self._client.get_checkout_session(created.session_id))
        except (SiglumeApiError, InvalidCall) as error:
            return _failed(error)
        return self._outcome(order, session, created.checkout_url)

    async def check(self, order: Order, attempt: Attempt) -> Outcome:
        """The state of the attempt's session."""
        session_id, checkout_url = attempt.session_id or "", attempt.checkout_url or ""
        try:
            session = await self._timed("get", self._client.get_checkout_session(session_id))
        except (SiglumeApiError, InvalidCall) as error:
            return _failed(error)
        return self._outcome(order, session, checkout_url, attempt.challenge_hash)

    def _outcome(
        self,
        order: Order,
        session: NewCheckoutSession | CheckoutSession,
        checkout_url: str,
        challenge_hash: str | None = None,
    ) -> Outcome:
        """`challenge_hash` is that of the session in the books, where it is there."""
        differing = misfits(order, self._merchant, session, challenge_hash)
        if differing:
            return Mismatched(session.session_id, differing)
        return Answered(
            OpenedSession(
                session.session_id,
                checkout_url,
                session.challenge_hash,
                session.expires_at,
                fact=fact_of(session.status),
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


def _failed(error: SiglumeApiError | InvalidCall) -> NotEnabled | Unavailable | Denied:
    match error:
        case InvalidCall():
            return Denied(str(error), "INVALID_CALL", is_final=True)
        case HostedCheckoutNotAvailableError():
            return NotEnabled(error.code)
        case UnusableAnswer():
            return Denied(str(error), error.code)
        case SiglumeApiError() if error.retryable or isinstance(error, Unreachable):
            return Unavailable(str(error), error.retry_after)
        case _:
            return Denied(str(error), error.code, error.status, error.is_final)
