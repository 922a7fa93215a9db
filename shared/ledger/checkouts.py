"""Attempts at the payment of orders: whose turn it is to ask the platform, what came of it, and the challenges given.

Whoever changes an attempt holds its order first, as workers do. The platform is asked while no transaction is open: a
lease keeps others from asking meanwhile. When it runs out, because a server died, the next one asks under the same
nonce and gets the same session.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from shared.errors import KessaiError
from shared.ledger import orders
from shared.ledger.books import Order
from shared.ledger.checkout_rows import ReturnUrls, Stand, begin, lock, of_row, record, register
from shared.ledger.checkout_states import (
    Attempt,
    AttemptFact,
    AttemptState,
    Step,
    next_attempt_state,
    next_step,
)
from shared.ledger.database import Connection
from shared.ledger.missed_webhooks import was_rejected
from shared.sdrp.challenge import Challenge

UNTOLD: Final = timedelta(minutes=15)
"""How long a session is taken to be open whose expiry the platform does not tell."""
LOOKED_AT: Final = timedelta(minutes=1)
"""How long a session is taken to be open that the platform just said is, at least."""


class PaymentUnderway(KessaiError):
    def __init__(self, attempt: Attempt) -> None:
        super().__init__(
            f"order {attempt.order_id!r}: Siglume took the payment of attempt {attempt.attempt} already, and its "
            "webhook is on the way, or a review of it waits for a person; nothing new is started until it is rejected"
        )
        self.attempt = attempt


@dataclass(frozen=True, slots=True)
class Turn:
    """What whoever asked must do, and for which attempt; it is leased to them where the platform is to be asked."""

    step: Step
    order: Order
    attempt: Attempt
    now: datetime


@dataclass(frozen=True, slots=True)
class OpenedSession:
    session_id: str
    checkout_url: str
    challenge_hash: str
    expires_at: datetime | None
    fact: AttemptFact = AttemptFact.OPENED
    """How far the platform says it is: it may be over before we hear of it."""


async def take_turn(
    connection: Connection, order_id: str, urls: ReturnUrls, *, lease: timedelta, is_doubted: bool, actor: str
) -> Turn:
    """What the caller must do to start the payment; where the platform is to be asked, nobody else does meanwhile.

    Raises OrderNotFound, OrderNotPayable, PaymentUnderway.
    """
    async with connection.transaction():
        at = await lock(connection, order_id)
        is_rejected = await _is_rejected(connection, at)
        step = next_step(at.attempt, now=at.now, is_doubted=is_doubted, is_rejected=is_rejected)
        if at.attempt is None or step is Step.BEGIN:
            return Turn(step, at.order, await begin(connection, at, urls, lease=lease, actor=actor), at.now)
        if step is Step.REFUSE:
            raise PaymentUnderway(at.attempt)
        if step in (Step.REUSE, Step.WAIT):
            return Turn(step, at.order, at.attempt, at.now)
        row = await connection.fetchrow(
            """
            UPDATE kessai.checkout_attempts
            SET tries = tries + 1, leased_until = $3, success_url = coalesce(success_url, $4),
                cancel_url = coalesce(cancel_url, $5)
            WHERE order_id = $1 AND attempt = $2
            RETURNING *
            """,
            order_id,
            at.attempt.attempt,
            at.now + lease,
            urls.success,
            urls.cancel,
        )
        return Turn(step, at.order, of_row(row), at.now)


async def _is_rejected(connection: Connection, at: Stand) -> bool:
    """Whether a person has decided that what the newest attempt was paid with is not for its order."""
    attempt = at.attempt
    if attempt is None or attempt.state is not AttemptState.PAID or attempt.challenge_hash is None:
        return False
    return await was_rejected(connection, at.order.endpoint, attempt.challenge_hash)


async def give_back(connection: Connection, attempt: Attempt) -> None:
    """The platform was of no help: the next one need not wait until the lease runs out."""
    await connection.execute(
        "UPDATE kessai.checkout_attempts SET leased_until = now() WHERE order_id = $1 AND attempt = $2 AND tries = $3",
        *(attempt.order_id, attempt.attempt, attempt.tries),
    )


async def open_session(
    connection: Connection, attempt: Attempt, session: OpenedSession, *, actor: str, now: datetime
) -> Stand:
    """Keep the session that the platform made for an attempt, as far as it is, and apply what was paid for it already.

    The session that is kept first stays; one that is over is never there to be reused. Raises ChallengeTaken.
    """
    async with connection.transaction():
        at = await lock(connection, attempt.order_id, attempt.attempt)
        current = at.attempt or attempt
        if current.session_id is None and current.is_active:
            await register(connection, at.order, session.challenge_hash, actor=actor, now=now)
            current = of_row(
                await connection.fetchrow(
                    """
                    UPDATE kessai.checkout_attempts
                    SET state = $3, session_id = $4, checkout_url = $5, challenge_hash = $6, expires_at = $7,
                        trusted_until = $8, opened_at = coalesce(opened_at, now()), leased_until = now()
                    WHERE order_id = $1 AND attempt = $2
                    RETURNING *
                    """,
                    *(attempt.order_id, attempt.attempt, next_attempt_state(current.state, AttemptFact.OPENED)),
                    *(session.session_id, session.checkout_url, session.challenge_hash),
                    *(session.expires_at, session.expires_at or at.now + UNTOLD),
                )
            )
            detail = {"session_id": session.session_id, "challenge_hash": session.challenge_hash}
            await record(connection, at, current, "checkout.opened", actor=actor, detail=detail)
        if session.fact is not AttemptFact.OPENED and current.session_id == session.session_id:
            current = await _end(connection, at, current, session.fact, actor=actor)
        order = await orders.find(connection, attempt.order_id)
        return Stand(order, current, at.now)


async def still_open(connection: Connection, attempt: Attempt, expires_at: datetime | None) -> None:
    """The platform says that the session can be paid."""
    await connection.execute(
        """
        UPDATE kessai.checkout_attempts
        SET expires_at = $4, trusted_until = greatest($4, now() + $5::interval), leased_until = now()
        WHERE order_id = $1 AND attempt = $2 AND tries = $3
        """,
        *(attempt.order_id, attempt.attempt, attempt.tries, expires_at, LOOKED_AT),
    )


async def end(
    connection: Connection,
    attempt: Attempt,
    fact: AttemptFact,
    *,
    because: str | None = None,
    detail: Mapping[str, Any] | None = None,
    actor: str,
) -> None:
    """An attempt is over, unless somebody else asked the platform since, who knows better."""
    async with connection.transaction():
        at = await lock(connection, attempt.order_id, attempt.attempt)
        current = at.attempt or attempt
        if current.tries == attempt.tries:
            await _end(connection, at, current, fact, because=because, detail=detail, actor=actor)


async def _end(
    connection: Connection,
    at: Stand,
    current: Attempt,
    fact: AttemptFact,
    *,
    because: str | None = None,
    detail: Mapping[str, Any] | None = None,
    actor: str,
) -> Attempt:
    """The attempt of a locked order, as it is afterwards."""
    following = next_attempt_state(current.state, fact)
    if following is current.state:
        return current
    ended = await connection.fetchrow(
        """
        UPDATE kessai.checkout_attempts
        SET state = $3, ended_at = coalesce(ended_at, now()), ended_because = $4, leased_until = now()
        WHERE order_id = $1 AND attempt = $2
        RETURNING *
        """,
        *(current.order_id, current.attempt, following, because),
    )
    told = {"session_id": current.session_id, "because": because, **(detail or {})}
    over = of_row(ended)
    await record(connection, at, over, "checkout.ended", actor=actor, detail=told, from_state=current.state)
    return over


async def give_challenge(
    connection: Connection,
    order_id: str,
    make: Callable[[Order, str], Challenge],
    *,
    actor: str,
    now: datetime,
) -> tuple[Attempt, Challenge]:
    """The challenge that a buyer's program pays, of the active attempt or a new one; the same one when asked again.

    `make` signs an order under a nonce. Raises OrderNotFound, OrderNotPayable, PaymentUnderway, ChallengeTaken.
    """
    async with connection.transaction():
        at = await lock(connection, order_id)
        is_rejected = await _is_rejected(connection, at)
        if at.attempt is not None and at.attempt.state is AttemptState.PAID and not is_rejected:
            raise PaymentUnderway(at.attempt)
        if at.attempt is not None and at.attempt.is_active:
            attempt = at.attempt
        else:
            attempt = await begin(connection, at, None, lease=timedelta(), actor=actor)
        challenge = make(at.order, attempt.nonce)
        if await register(connection, at.order, challenge.hash, actor=actor, now=now):
            detail = {"challenge_hash": challenge.hash}
            await record(connection, at, attempt, "checkout.challenged", actor=actor, detail=detail)
        row = await connection.fetchrow(
            """
            UPDATE kessai.checkout_attempts
            SET state = $3, opened_at = coalesce(opened_at, now())
            WHERE order_id = $1 AND attempt = $2
            RETURNING *
            """,
            *(order_id, attempt.attempt, next_attempt_state(attempt.state, AttemptFact.OPENED)),
        )
        return of_row(row), challenge
