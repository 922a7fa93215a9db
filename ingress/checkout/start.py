"""Starting a payment on Siglume's page: one session for an order, however many ask for it at once."""

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
from ingress.checkout.hosted import Answered, Away, Denied, HostedCheckout, NotEnabled, Outcome, Unfit
from ingress.checkout.operation import AnyOperation, act
from ingress.checkout.orders import OfOrder, location
from ingress.checkout.refusals import (
    DOES_NOT_FIT,
    NOT_ENABLED,
    OF_SESSIONS,
    OF_STARTS,
    PLATFORM_AWAY,
    PLATFORM_REFUSED,
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
"""Steps of one call: look at a session that is over, begin the next attempt, find its nonce spent, begin again."""
COME_BACK: Final = 1
"""Seconds after which to ask for a session that another call is creating."""
AGAIN_AFTER: Final = 5.0
"""Seconds after which to ask Siglume again when it does not say."""


@dataclass(frozen=True, slots=True)
class StartedCheckout:
    """Where to send the buyer."""

    order_id: str
    attempt: int
    state: AttemptState
    session_id: str | None
    checkout_url: str | None
    """None while another call creates the session: ask again."""
    expires_at: datetime | None


Page = Annotated[str | None, Field(min_length=1, max_length=MAX_URL, pattern=r"^[^\x00]+$")]


class AskedStart(OfOrder):
    success_url: Annotated[
        Page, Field(description="Where the buyer goes after paying, on an origin of the shop; needed once an order.")
    ] = None
    cancel_url: Annotated[Page, Field(description="Where the buyer goes instead.")] = None
    look: Annotated[
        bool,
        Field(description="First ask Siglume whether the open session still is: when the buyer came to cancel_url."),
    ] = False


async def start_checkout(call: Call, asked: AskedStart) -> Made:
    """One canonical log line and one count for each start, whatever becomes of it."""
    outcome = "failed"
    try:
        made, outcome = await _start(call, asked)
        return made
    except Refused as refused:
        outcome = refused.kind.slug
        raise
    except KessaiError as error:
        outcome = type(error).__name__
        raise
    finally:
        call.services.metrics.started(call.client.endpoint, outcome)
        log.info("checkout.start", order_id=asked.order_id, client=call.client.name, outcome=outcome)


async def _start(call: Call, asked: AskedStart) -> tuple[Made, str]:
    at = await call.stand(asked.order_id)
    call.require_payable(at.order)
    if at.attempt is not None and next_step(at.attempt, now=at.now, is_doubted=asked.look) is Step.REUSE:
        return _told(at.attempt, HTTPStatus.OK), "reused"
    hosted = call.counter.hosted
    if hosted is None:
        raise Refused(
            NOT_ENABLED,
            f"Endpoint {call.client.endpoint!r} has no Siglume token or no merchant key here: set "
            "SIGLUME_MERCHANT_AUTH_TOKEN and SIGLUME_DIRECT_PAYMENT_MERCHANT for the default endpoint, "
            "merchant_auth_token_file and merchant in the table of another.",
        )
    pages = _return_urls(call, asked, at.attempt)
    is_doubted = asked.look
    for _ in range(ROUNDS):
        turn = await _take_turn(call, asked.order_id, pages, is_doubted=is_doubted)
        match turn.step:
            case Step.REUSE:
                return _told(turn.attempt, HTTPStatus.OK), "reused"
            case Step.WAIT:
                return _told(turn.attempt, HTTPStatus.ACCEPTED), "awaited"
            case Step.LOOK:
                await _look(call, hosted, turn)
                is_doubted = False
            case _:
                opened = await _create(call, hosted, turn)
                if opened is not None:
                    return _told(opened, HTTPStatus.CREATED), "created"
    raise Refused(BUSY, "Every attempt at this order was over at once: try again.", retry_after=AGAIN_AFTER)


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
        at = await call.books(
            lambda connection: checkouts.open_session(
                connection, turn.attempt, session, actor=call.actor, now=datetime.now(UTC)
            )
        )
    except ChallengeTaken as taken:
        log.error("checkout.challenge_taken", nonce=turn.attempt.nonce, error=str(taken))
        await _end(call, turn, AttemptFact.FAILED, because=str(taken))
        raise Refused(DOES_NOT_FIT, TAKEN) from None
    if at.order.state is not OrderState.PENDING:
        raise OrderNotPayable(at.order)  # paid before we knew of the session, or closed meanwhile
    return at.attempt if at.attempt is not None and at.attempt.is_active else None


async def _look(call: Call, hosted: HostedCheckout, turn: Turn) -> None:
    """Let the books know how far the attempt's session is. Raises Refused."""
    outcome = await hosted.look(turn.order, turn.attempt)
    if isinstance(outcome, NotEnabled | Denied) and outcome.is_final and turn.attempt.is_over(turn.now):
        await _end(call, turn, AttemptFact.EXPIRED, because=f"{outcome.code}, and its time is over")
        return
    if isinstance(outcome, Denied) and outcome.status == HTTPStatus.NOT_FOUND:
        await _end(call, turn, AttemptFact.FAILED, because=outcome.code)  # there is no such session any more
        return
    session = await _require_answer(call, turn, outcome)
    if session.fact is AttemptFact.OPENED:
        await call.books(lambda connection: checkouts.still_open(connection, turn.attempt, session.expires_at))
    else:
        await _end(call, turn, session.fact)


async def _require_answer(call: Call, turn: Turn, outcome: Outcome) -> OpenedSession:
    """Raises Refused, after the attempt is given back or, where the session is another's, ended."""
    if isinstance(outcome, Answered):
        return outcome.session
    if isinstance(outcome, Unfit):
        differing = ", ".join(outcome.fields)
        log.error("checkout.session_does_not_fit", nonce=turn.attempt.nonce, fields=outcome.fields)
        await _end(
            call, turn, AttemptFact.FAILED, because=f"session does not fit: {differing}", session=outcome.session_id
        )
        raise Refused(
            DOES_NOT_FIT,
            f"Siglume answered with a session whose {differing} is not that of the order: nobody was sent there. "
            "Report it to Siglume; the next start begins a new attempt.",
        )
    await call.books(lambda connection: checkouts.give_back(connection, turn.attempt))
    match outcome:
        case NotEnabled():
            raise Refused(NOT_ENABLED, _not_enabled(turn))
        case Away():
            log.warning("checkout.platform_away", nonce=turn.attempt.nonce, why=outcome.why)
            raise Refused(
                PLATFORM_AWAY,
                f"{outcome.why}. The attempt is kept: ask again.",
                retry_after=AGAIN_AFTER if outcome.retry_after is None else outcome.retry_after,
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


def _return_urls(call: Call, asked: AskedStart, newest: Attempt | None) -> ReturnUrls:
    """As the call says, or the endpoint's own, or as a call for this order said before. Raises Refused."""
    terms = call.counter.terms
    before = (None, None) if newest is None else (newest.success_url, newest.cancel_url)
    faults, pages = [], []
    for name, given, own, kept in (
        ("success_url", asked.success_url, terms.success_url, before[0]),
        ("cancel_url", asked.cancel_url, terms.cancel_url, before[1]),
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


def _told(attempt: Attempt, status: HTTPStatus) -> Made:
    is_there = status is not HTTPStatus.ACCEPTED
    started = StartedCheckout(
        order_id=attempt.order_id,
        attempt=attempt.attempt,
        state=attempt.state,
        session_id=attempt.session_id if is_there else None,
        checkout_url=attempt.checkout_url if is_there else None,
        expires_at=attempt.expires_at if is_there else None,
    )
    return Made(started, status, location(attempt.order_id), None if is_there else COME_BACK)


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    act(
        "startCheckout",
        "/orders/{order_id}/checkout",
        "Where to send the buyer to pay. 201: a new session; 200: the open one; 202: another call is creating it.",
        AskedStart,
        Thing(StartedCheckout, (HTTPStatus.CREATED, HTTPStatus.OK, HTTPStatus.ACCEPTED)),
        start_checkout,
        refuses=(*OF_STARTS, *OF_SESSIONS),
    ),
)
