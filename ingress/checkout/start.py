"""Starting a payment on Siglume's page: an order has one session, however many calls start it at once."""

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final, assert_never

import structlog
from pydantic import Field

from ingress.api.answers import Made
from ingress.api.inputs import invalid
from ingress.api.operation import Thing
from ingress.api.problems import BUSY, Fault, Refused
from ingress.checkout.call import Call
from ingress.checkout.hosted import Answered, Denied, HostedCheckout, Mismatched, NotEnabled, Outcome, Unavailable
from ingress.checkout.operation import AnyOperation, act
from ingress.checkout.orders import OrderRequest, location
from ingress.checkout.refusals import (
    DOES_NOT_FIT,
    NOT_ENABLED,
    OF_SESSIONS,
    OF_STARTS,
    PLATFORM_REFUSED,
    PLATFORM_UNAVAILABLE,
    TAKEN,
)
from shared.errors import KessaiError
from shared.ledger import checkouts
from shared.ledger.checkout_rows import ChallengeTaken, OrderNotPayable, ReturnUrls
from shared.ledger.checkout_states import Attempt, AttemptFact, AttemptState, Step, next_step
from shared.ledger.checkouts import OpenedSession, Turn
from shared.ledger.database import Connection
from shared.ledger.transitions import OrderState
from shared.sdrp.api import urls
from shared.sdrp.api.urls import MAX_URL

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.checkout")

ROUNDS: Final = 4
"""Steps of one call: check a session that is over, begin the next attempt, find its nonce used, begin again."""
RETRY_AFTER_CREATING: Final = 1
"""Seconds until a caller should repeat the call while another call creates the session."""
RETRY_AFTER: Final = 5.0
"""Seconds until a caller should repeat the call when Siglume does not say."""


@dataclass(frozen=True, slots=True)
class StartedCheckout:
    """The page where the buyer pays."""

    order_id: str
    attempt: int
    state: AttemptState
    session_id: str | None
    checkout_url: str | None
    """None while another call creates the session: repeat the call."""
    expires_at: datetime | None


Page = Annotated[str | None, Field(min_length=1, max_length=MAX_URL, pattern=r"^[^\x00]+$")]


class StartRequest(OrderRequest):
    success_url: Annotated[
        Page, Field(description="The page after a payment, on an origin of the shop; needed once for each order.")
    ] = None
    cancel_url: Annotated[Page, Field(description="The page for a buyer who does not pay.")] = None
    look: Annotated[
        bool,
        Field(description="Check the open session at Siglume first, for a buyer who came back to cancel_url."),
    ] = False


async def start_checkout(call: Call, request: StartRequest) -> Made:
    """Writes one log line and counts one start, whatever the outcome."""
    outcome = "failed"
    try:
        made, outcome = await _start(call, request)
        return made
    except Refused as refused:
        outcome = refused.kind.slug
        raise
    except KessaiError as error:
        outcome = type(error).__name__
        raise
    finally:
        call.services.metrics.started(call.client.endpoint, outcome)
        log.info("checkout.start", order_id=request.order_id, client=call.client.name, outcome=outcome)


async def _start(call: Call, request: StartRequest) -> tuple[Made, str]:
    found = await call.order_with_attempt(request.order_id)
    call.require_payable(found.order)
    if found.attempt is not None and next_step(found.attempt, now=found.now, is_doubted=request.look) is Step.REUSE:
        return _started(found.attempt, HTTPStatus.OK), "reused"
    hosted = call.checkout.hosted
    if hosted is None:
        raise Refused(
            NOT_ENABLED,
            f"Endpoint {call.client.endpoint!r} has no Siglume token or no merchant key here: set "
            "SIGLUME_MERCHANT_AUTH_TOKEN and SIGLUME_DIRECT_PAYMENT_MERCHANT for the default endpoint, "
            "merchant_auth_token_file and merchant in the table of another.",
        )
    pages = _return_urls(call, request, found.attempt)
    is_doubted = request.look
    for _ in range(ROUNDS):
        turn = await _take_turn(call, request.order_id, pages, is_doubted=is_doubted)
        match turn.step:
            case Step.REUSE:
                return _started(turn.attempt, HTTPStatus.OK), "reused"
            case Step.WAIT:
                return _started(turn.attempt, HTTPStatus.ACCEPTED), "awaited"
            case Step.LOOK:
                await _check_session(call, hosted, turn)
                is_doubted = False
            case _:
                opened = await _create(call, hosted, turn)
                if opened is not None:
                    return _started(opened, HTTPStatus.CREATED), "created"
    raise Refused(BUSY, "Every attempt at this order was over at once: try again.", retry_after=RETRY_AFTER)


async def _take_turn(call: Call, order_id: str, pages: ReturnUrls, *, is_doubted: bool) -> Turn:
    """Raises Refused, OrderNotPayable, PaymentUnderway; then no attempt was begun."""
    lease = call.services.lease

    async def work(connection: Connection) -> Turn:
        async with connection.transaction():
            turn = await checkouts.take_turn(
                connection, order_id, pages, lease=lease, is_doubted=is_doubted, actor=call.actor
            )
            call.require_payable(turn.order)  # its amount may have changed since it was looked at
            return turn

    return await call.books(work)


async def _create(call: Call, hosted: HostedCheckout, turn: Turn) -> Attempt | None:
    """The attempt with its session; None when it is over. Raises Refused, OrderNotPayable."""
    outcome = await hosted.create(turn.order, turn.attempt)
    sent_before = turn.attempt.state is AttemptState.CREATING and turn.attempt.tries > 1
    if isinstance(outcome, Denied) and outcome.may_be_of_nonce and sent_before:
        await _end(call, turn, AttemptFact.FAILED, because=outcome.code)  # its nonce led to a session that is over
        return None
    session = await _require_answer(call, turn, outcome)
    try:
        found = await call.books(
            lambda connection: checkouts.open_session(
                connection, turn.attempt, session, actor=call.actor, now=datetime.now(UTC)
            )
        )
    except ChallengeTaken as taken:
        log.error("checkout.challenge_taken", nonce=turn.attempt.nonce, error=str(taken))
        await _end(call, turn, AttemptFact.FAILED, because=str(taken))
        raise Refused(DOES_NOT_FIT, TAKEN) from None
    if found.order.state is not OrderState.PENDING:
        raise OrderNotPayable(found.order)  # it was paid before the session was recorded, or closed meanwhile
    return found.attempt if found.attempt is not None and found.attempt.is_active else None


async def _check_session(call: Call, hosted: HostedCheckout, turn: Turn) -> None:
    """Record the state of the attempt's session. Raises Refused."""
    outcome = await hosted.check(turn.order, turn.attempt)
    if isinstance(outcome, NotEnabled | Denied) and outcome.is_final and turn.attempt.is_over(turn.now):
        await _end(call, turn, AttemptFact.EXPIRED, because=f"{outcome.code}, and its time is over")
        return
    if isinstance(outcome, Denied) and outcome.status == HTTPStatus.NOT_FOUND:
        await _end(call, turn, AttemptFact.FAILED, because=outcome.code)  # the session no longer exists
        return
    session = await _require_answer(call, turn, outcome)
    if session.fact is AttemptFact.OPENED:
        await call.books(lambda connection: checkouts.still_open(connection, turn.attempt, session.expires_at))
    else:
        await _end(call, turn, session.fact)


async def _require_answer(call: Call, turn: Turn, outcome: Outcome) -> OpenedSession:
    """The session. Otherwise gives the attempt back, or ends it when the session does not match, and raises Refused."""
    if isinstance(outcome, Answered):
        return outcome.session
    if isinstance(outcome, Mismatched):
        differing = ", ".join(outcome.fields)
        log.error("checkout.session_does_not_fit", nonce=turn.attempt.nonce, fields=outcome.fields)
        await _end(
            call, turn, AttemptFact.FAILED, because=f"session does not fit: {differing}", session=outcome.session_id
        )
        raise Refused(
            DOES_NOT_FIT,
            f"Siglume answered with a session whose {differing} is not that of the order: no buyer was sent there. "
            "Report it to Siglume; the next start begins a new attempt.",
        )
    await call.books(lambda connection: checkouts.give_back(connection, turn.attempt))
    match outcome:
        case NotEnabled():
            raise Refused(NOT_ENABLED, _not_enabled(turn))
        case Unavailable():
            log.warning("checkout.platform_unavailable", nonce=turn.attempt.nonce, why=outcome.why)
            raise Refused(
                PLATFORM_UNAVAILABLE,
                f"{outcome.why}. The attempt is kept: repeat the call.",
                retry_after=RETRY_AFTER if outcome.retry_after is None else outcome.retry_after,
            )
        case Denied():
            log.error("checkout.platform_refused", nonce=turn.attempt.nonce, why=outcome.why)
            raise Refused(PLATFORM_REFUSED, f"{outcome.why}. The attempt is kept.")
    assert_never(outcome)


def _not_enabled(turn: Turn) -> str:
    if turn.step is not Step.LOOK:
        return "Siglume has not enabled Hosted Checkout for this merchant."
    over = turn.attempt.over_at
    until = "" if over is None else f" until {over:%Y-%m-%dT%H:%M:%SZ}"
    return (
        "Siglume has no Hosted Checkout for this merchant, or no such session any more. Attempt "
        f"{turn.attempt.attempt} may still be paid and is kept{until}; after that a start begins the next one."
    )


async def _end(
    call: Call, turn: Turn, fact: AttemptFact, *, because: str | None = None, session: str | None = None
) -> None:
    detail = {} if session is None else {"answered_session_id": session}
    await call.books(
        lambda connection: checkouts.end(
            connection, turn.attempt, fact, because=because, detail=detail, actor=call.actor
        )
    )


def _return_urls(call: Call, request: StartRequest, newest: Attempt | None) -> ReturnUrls:
    """Those of the call, else of the endpoint, else of an earlier call for this order. Raises Refused."""
    terms = call.checkout.terms
    kept_urls = (None, None) if newest is None else (newest.success_url, newest.cancel_url)
    faults, pages = [], []
    for name, given, own, kept in (
        ("success_url", request.success_url, terms.success_url, kept_urls[0]),
        ("cancel_url", request.cancel_url, terms.cancel_url, kept_urls[1]),
    ):
        page = given or own or kept
        if page is None:
            faults.append(Fault(name, "is not set for this endpoint: give one"))
            continue
        try:
            if urls.origin(page, name) not in terms.origins:
                faults.append(Fault(name, "is on no origin of this shop: set SHOP_PUBLIC_ORIGIN, or `origins`"))
        except KessaiError as error:
            faults.append(Fault(name, str(error).removeprefix(f"{name} ")))
        pages.append(page)
    if faults:
        raise invalid(faults)
    return ReturnUrls(*pages)


def _started(attempt: Attempt, status: HTTPStatus) -> Made:
    is_ready = status is not HTTPStatus.ACCEPTED
    started = StartedCheckout(
        order_id=attempt.order_id,
        attempt=attempt.attempt,
        state=attempt.state,
        session_id=attempt.session_id if is_ready else None,
        checkout_url=attempt.checkout_url if is_ready else None,
        expires_at=attempt.expires_at if is_ready else None,
    )
    return Made(started, status, location(attempt.order_id), None if is_ready else RETRY_AFTER_CREATING)


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    act(
        "startCheckout",
        "/orders/{order_id}/checkout",
        "The page where the buyer pays. 201: a new session; 200: the open one; 202: another call is creating it.",
        StartRequest,
        Thing(StartedCheckout, (HTTPStatus.CREATED, HTTPStatus.OK, HTTPStatus.ACCEPTED)),
        start_checkout,
        refuses=(*OF_STARTS, *OF_SESSIONS),
    ),
)
