"""Sessions whose webhook has not come: which are to be looked at, and what a look does to the books.

The platform is asked while no transaction is open. What it said is ruled on afterwards, with the order locked as
workers lock it: a webhook that came meanwhile has won. A look that another one overtook changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from shared.ledger import audit, checkouts, notes, reviews
from shared.ledger.audit import Act
from shared.ledger.books import Order, Row
from shared.ledger.checkout_rows import lock, of_row
from shared.ledger.checkout_states import Attempt, AttemptFact, AttemptState
from shared.ledger.database import Connection, affected
from shared.ledger.hosted_sessions import Payable, StatedSession
from shared.ledger.missed_webhooks import find_spender, heard_sql, is_dead_letter, is_heard, open_review, was_decided
from shared.ledger.notes import NoteThing
from shared.ledger.session_payments import put_session_payment
from shared.ledger.sweep_rules import (
    Ended,
    Finding,
    Heard,
    Later,
    Looked,
    Missed,
    Silence,
    SweepTerms,
    Taken,
    find,
    is_paid,
)

ACTOR: Final = "worker:sweep"
ROWS_AT_ONCE: Final = 1000
WEBHOOK_CAME: Final = "webhook_came"
"""Resolution of a review whose webhook came after all."""
HELD: Final = timedelta(minutes=5)
"""How long a turn may take: one that ended in a crash holds nobody up for longer."""


@dataclass(frozen=True, slots=True)
class Due:
    """A session to look at."""

    order: Order
    attempt: Attempt
    looks: int
    paid_looks: int
    silences: int
    unsaid: int

    @property
    def session_id(self) -> str:
        return self.attempt.session_id or ""


async def take_turn(connection: Connection, endpoint: str, *, now: datetime) -> int | None:
    """How often in a row the platform was away, as the turn begins; None while it is somebody else's, or too early."""
    failures: int | None = await connection.fetchval(
        """
        INSERT INTO kessai.sweeps AS known (endpoint, next_turn_at)
        VALUES ($1, $3)
        ON CONFLICT (endpoint) DO UPDATE SET next_turn_at = excluded.next_turn_at WHERE known.next_turn_at <= $2
        RETURNING failures
        """,
        endpoint,
        now,
        now + HELD,
    )
    return failures


async def end_turn(connection: Connection, endpoint: str, *, next_turn_at: datetime, failures: int) -> None:
    await connection.execute(
        "UPDATE kessai.sweeps SET next_turn_at = $2, failures = $3 WHERE endpoint = $1",
        endpoint,
        next_turn_at,
        failures,
    )


# Orders that have their money: their sessions are of no more interest. Nobody is asked about them.
_CANDIDATES = """
session_id IS NOT NULL AND ((look_at IS NULL AND opened_at <= $2::timestamptz - $3::interval) OR look_at <= $2)
"""
PASS_OVER = f"""
UPDATE kessai.checkout_attempts
SET look_at = 'infinity'
FROM (SELECT order_id, attempt
      FROM kessai.checkout_attempts
      JOIN kessai.orders USING (order_id)
      WHERE {_CANDIDATES}
        AND endpoint = $1
        AND (orders.state NOT IN ('pending', 'cancelled') OR checkout_attempts.state NOT IN ('open', 'paid'))
      LIMIT {ROWS_AT_ONCE}) AS over
WHERE checkout_attempts.order_id = over.order_id AND checkout_attempts.attempt = over.attempt
"""


async def pass_over(connection: Connection, endpoint: str, *, now: datetime, after: timedelta) -> None:
    """Look no more at sessions of orders that have their money, nor at those that are known to be over."""
    while affected(await connection.execute(PASS_OVER, endpoint, now, after)) == ROWS_AT_ONCE:
        pass


_OF_ORDERS = """
SELECT orders.order_id AS id, endpoint, amount_minor, currency, orders.state AS order_state, requirement_id,
       chain_receipt_id, paid_at, checkout_attempts.*
FROM kessai.checkout_attempts
JOIN kessai.orders USING (order_id)
"""
DUE = f"""
{_OF_ORDERS}
WHERE {_CANDIDATES}
  AND endpoint = $1 AND orders.state IN ('pending', 'cancelled') AND checkout_attempts.state IN ('open', 'paid')
ORDER BY unsaid > 0, coalesce(look_at, opened_at + $3), checkout_attempts.order_id, attempt
LIMIT $4
"""
OF_RUN = f"""
{_OF_ORDERS}
WHERE session_id IS NOT NULL AND (look_at IS NULL OR look_at < 'infinity')
  AND opened_at <= $2::timestamptz - $3::interval AND (looked_at IS NULL OR looked_at < $2)
  AND endpoint = $1 AND orders.state IN ('pending', 'cancelled') AND checkout_attempts.state IN ('open', 'paid')
ORDER BY unsaid, opened_at, checkout_attempts.order_id, attempt
OFFSET $5
LIMIT $4
"""


async def due(connection: Connection, endpoint: str, *, now: datetime, after: timedelta, limit: int) -> list[Due]:
    """Those whose time has come, the longest waiting first; after all others those of which nothing was learnt."""
    return [_due(row) for row in await connection.fetch(DUE, endpoint, now, after, limit)]


async def of_run(
    connection: Connection, endpoint: str, *, began: datetime, after: timedelta, limit: int, skip: int = 0
) -> list[Due]:
    """Those that a person's sweep, which began then, has not looked at: no pause keeps it from any."""
    return [_due(row) for row in await connection.fetch(OF_RUN, endpoint, began, after, limit, skip)]


async def put_off(connection: Connection, due: Due, *, until: datetime, now: datetime) -> None:
    """Nothing was learnt of this one, so it was no look; others must not wait behind it."""
    await connection.execute(
        """
        UPDATE kessai.checkout_attempts
        SET unsaid = unsaid + 1, looked_at = $5, look_at = $4
        WHERE order_id = $1 AND attempt = $2 AND looks = $3
        """,
        *(due.order.order_id, due.attempt.attempt, due.looks, until, now),
    )


async def settle(
    connection: Connection, due: Due, session: StatedSession | Silence, terms: SweepTerms, *, now: datetime
) -> Finding | None:
    """Write down what a look found; None when somebody else has looked meanwhile, and nothing was changed."""
    async with connection.transaction():
        at = await lock(connection, due.order.order_id, due.attempt.attempt)
        attempt = at.attempt or due.attempt
        looked = await _looked(connection, at.order, attempt, due, session, terms, now)
        finding = find(session, looked, terms, now=now)
        again = finding.at if isinstance(finding, Later) else None
        if not await _looked_at(connection, due, session, again, now):
            return None
        if is_paid(session):
            await checkouts.end(connection, attempt, AttemptFact.PAID, actor=ACTOR)
        stated = session if isinstance(session, StatedSession) else _untold(attempt, at.order, terms)
        await _write(connection, finding, at.order, attempt, stated, now)
    return finding


def _untold(attempt: Attempt, order: Order, terms: SweepTerms) -> StatedSession:
    """What the books hold of a session that was paid, and that the platform tells nothing of any more."""
    return StatedSession.untold(attempt.session_id or "", order, terms.merchant or "", attempt.challenge_hash or "")


async def foresee(
    connection: Connection, due: Due, session: StatedSession | Silence, terms: SweepTerms, *, now: datetime
) -> Finding:
    """What `settle` would find, with nothing locked and nothing changed."""
    return find(session, await _looked(connection, due.order, due.attempt, due, session, terms, now), terms, now=now)


async def close_heard(connection: Connection, endpoint: str) -> int:
    """Close the reviews whose webhook came after all; how many."""
    async with connection.transaction():
        rows = await connection.fetch(CLOSE_HEARD, endpoint, ACTOR, WEBHOOK_CAME)
        detail = {"resolution": WEBHOOK_CAME}
        acts = [
            Act(ACTOR, "review.resolved", reviews.subject(row["review_id"]), endpoint, detail=detail) for row in rows
        ]
        await audit.record_all(connection, acts)
    return len(rows)


_OF_REVIEW = (
    *("reviews.endpoint", "reviews.order_id", "(reviews.evidence #>> '{session,requirement_id}')"),
    "reviews.challenge_hash",
)
CLOSE_HEARD = f"""
UPDATE kessai.reviews
SET state = 'closed', closed_at = now(), closed_by = $2, resolution = $3, proposed = NULL, version = version + 1
WHERE endpoint = $1 AND state = 'open' AND reason = 'missed_webhook'
  AND {heard_sql(*_OF_REVIEW)}
RETURNING review_id
"""


async def _looked(
    connection: Connection,
    order: Order,
    attempt: Attempt,
    due: Due,
    session: StatedSession | Silence,
    terms: SweepTerms,
    now: datetime,
) -> Looked:
    looked = Looked(
        Payable(order, terms.merchant, attempt.challenge_hash),
        due.looks,
        due.paid_looks,
        due.silences,
        is_paid=attempt.state is AttemptState.PAID,
        is_over=attempt.is_over(now),
    )
    if not looked.is_paid and not is_paid(session):
        return looked
    requirement_id = session.requirement_id if isinstance(session, StatedSession) else None
    spender = None if requirement_id is None else await find_spender(connection, order.endpoint, requirement_id)
    return looked._replace(
        payable=looked.payable._replace(spent_on=spender),
        is_heard=await is_heard(connection, order.endpoint, order.order_id, requirement_id, attempt.challenge_hash),
        is_dead_letter=await is_dead_letter(connection, order.endpoint, attempt.challenge_hash),
        is_decided=await was_decided(connection, order.endpoint, due.session_id),
    )


async def _write(
    connection: Connection, finding: Finding, order: Order, attempt: Attempt, session: StatedSession, now: datetime
) -> None:
    match finding:
        case Later() | Heard():
            return
        case Ended(fact, because):
            await checkouts.end(connection, attempt, fact, because=because, actor=ACTOR)
            if because is not None:
                body = f"Session {attempt.session_id} of attempt {attempt.attempt} is over by its time: {because}."
                await notes.add(connection, NoteThing.ORDER, order.order_id, body, author=ACTOR)
        case Missed():
            await open_review(connection, order, attempt.challenge_hash, session, now=now)
        case Taken(paid):
            await put_session_payment(connection, paid, order.state, actor=ACTOR, now=now)
        case never:
            assert_never(never)


async def _looked_at(
    connection: Connection, due: Due, session: StatedSession | Silence, again: datetime | None, now: datetime
) -> bool:
    """Note a look, and when the next one is due; False when another was faster."""
    status = await connection.execute(
        """
        UPDATE kessai.checkout_attempts
        SET looks = looks + 1, paid_looks = paid_looks + $6, silences = CASE WHEN $7 THEN silences + 1 ELSE 0 END,
            unsaid = 0, looked_at = $5, look_at = coalesce($4::timestamptz, 'infinity')
        WHERE order_id = $1 AND attempt = $2 AND looks = $3
        """,
        *(
            due.order.order_id,
            due.attempt.attempt,
            due.looks,
            again,
            now,
            int(is_paid(session)),
            isinstance(session, Silence),
        ),
    )
    return affected(status) == 1


def _due(row: Row) -> Due:
    order = Order(
        *(row[name] for name in ("id", "endpoint", "amount_minor", "currency", "order_state", "requirement_id")),
        *(row[name] for name in ("chain_receipt_id", "paid_at")),
    )
    return Due(order, of_row(row), row["looks"], row["paid_looks"], row["silences"], row["unsaid"])
