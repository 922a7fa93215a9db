"""A payment that a person has sent back moves no order, whenever and however its webhook comes."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.broker.envelope import Failure
from shared.ledger import dead_letters, resolve, reviews
from shared.ledger.apply import apply_batch
from shared.ledger.books import Shop
from shared.ledger.database import Connection, connected
from shared.ledger.decisions import Answer, Decision, Refusal, Resolution, Verdict
from shared.ledger.foresight import foresee
from shared.ledger.incoming import read
from shared.ledger.replays.plans import plan
from shared.ledger.replays.selection import Selection
from shared.ledger.resolve import CannotResolve
from shared.remedies import Remedy
from tests.given import ENDPOINT, NOW, envelope, incoming, new_order, payment, session, usage
from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.desk import ANN, Desk

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

Work = Callable[[Connection], Awaitable[None]]


@pytest.fixture
def desk(books: TestBooks) -> Desk:
    return Desk(books)


async def meet(books: TestBooks, first: Work, second: Callable[[], Awaitable[object]]) -> None:
    """Begin the second work as the first is written, and commit the first once the second waits for it."""
    async with connected(books.pool) as connection:
        async with connection.transaction():
            await first(connection)
            working = asyncio.ensure_future(second())
            async with asyncio.timeout(10):
                while not await books.value(WAITING):
                    await asyncio.sleep(0.01)
        await working


async def test_a_webhook_that_waits_for_its_rejection_to_commit_moves_nothing(books: TestBooks, desk: Desk) -> None:
    """The worker's statement begins before the rejection is committed, and gets the order's lock after it."""
    await books.register(new_order("order-1"), new_order("order-2"))
    review_id = await desk.miss(session())
    batch = [payment("evt-1"), payment("evt-2", "order-2")]

    async def reject(connection: Connection) -> None:
        decision = Decision(Resolution.REJECT, "sent back")
        await resolve.resolve(connection, review_id, decision, actor=ANN, shops=books.shops, now=NOW)

    await meet(books, reject, lambda: books.apply(*batch))
    assert await books.outcome("evt-1") == ("review", "rejected_payment", "order-1")
    assert [order_id for order_id, _, _ in await books.moves()] == ["order-2"]


OTHER_SHOP = {ENDPOINT: Shop("other_house")}
REJECTED = "a person has rejected the payment of its challenge"


async def rejected(books: TestBooks, desk: Desk, amount_minor: int = 1200) -> None:
    """An order whose session was paid without a webhook, and whose money a person has sent back."""
    await books.register(new_order(amount_minor=amount_minor))
    await desk.resolve(await desk.miss(session(amount_minor=amount_minor)), "reject", why="sent back")


async def foreseen(books: TestBooks, review_id: int) -> dict[Resolution, Answer | None]:
    async with connected(books.pool) as connection:
        review, _ = await reviews.find(connection, review_id)
        return {choice.resolution: choice.answer for choice in await foresee(connection, review, books.shops)}


async def test_ruling_again_after_the_merchant_key_is_corrected_pays_nothing(books: TestBooks, desk: Desk) -> None:
    await rejected(books, desk)
    right, books.shops = books.shops, OTHER_SHOP
    await books.apply(payment())
    books.shops = right
    answer = (await foreseen(books, 2))[Resolution.REPROCESS]
    assert isinstance(answer, Verdict)
    assert answer.ruling.review == "rejected_payment"
    done = await desk.resolve(2, "reprocess")
    assert (done.outcome, done.reason, (await books.order()).state) == ("review", "rejected_payment", "pending")
    assert (await desk.resolve(3, "reprocess")).done == "unchanged"
    assert (await desk.resolve(3, "accept-mismatch")).order_state == "paid"


async def test_a_payment_that_was_rejected_and_does_not_fit_either_waits_as_rejected(
    books: TestBooks, desk: Desk
) -> None:
    """So that nobody accepts the other amount without learning that the money may be gone."""
    await rejected(books, desk)
    await books.apply(payment(amount_minor=1300))
    assert await books.outcome("evt-1") == ("review", "rejected_payment", "order-1")


@pytest.mark.parametrize(
    ("shops", "came", "resolution"),
    [
        (OTHER_SHOP, payment(), "accept-mismatch"),
        ({ENDPOINT: Shop("tea_house")}, usage(), "accept-metered"),
    ],
)
async def test_no_decision_counts_a_rejected_payment_unless_the_person_says_so(
    books: TestBooks, desk: Desk, shops: dict[str, Shop], came: bytes, resolution: str
) -> None:
    await rejected(books, desk, amount_minor=1200 if resolution == "accept-mismatch" else 200)
    books.shops = shops
    await books.apply(came)
    answer = (await foreseen(books, 2))[Resolution(resolution)]
    assert isinstance(answer, Refusal)
    assert REJECTED in answer.why
    assert answer.remedy is Remedy.ACCEPT_MISMATCH
    with pytest.raises(CannotResolve, match=REJECTED):
        await desk.resolve(2, resolution)
    assert await books.moves() == []
    await desk.resolve(2, resolution, accept_mismatch=True)
    assert len(await books.moves()) == 1


async def test_a_replay_of_a_rejected_payment_is_predicted_as_the_worker_rules(books: TestBooks, desk: Desk) -> None:
    await rejected(books, desk)
    letter = envelope(payment())
    async with connected(books.pool) as connection:
        await dead_letters.archive(connection, [(letter, Failure("handler_error", "KeyError", ""))])
    planned = await plan(books.pool, books.pool, Selection(everything=True), books.shops, actor=ANN)
    assert planned.predicted == {"review": 1}
    await books.apply(read(letter))
    assert await books.outcome("evt-1") == ("review", "rejected_payment", "order-1")


PAID_BY_IT = "its webhook came after all: order 'order-1' is paid by it.*the next sweep closes this review"


async def test_a_payment_that_its_webhook_has_paid_can_no_longer_be_rejected(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order())
    review_id = await desk.miss(session())
    await books.apply(payment())
    before = await books.everything()
    for resolution in ("reject", "accept-session"):
        with pytest.raises(CannotResolve, match=PAID_BY_IT):
            await desk.resolve(review_id, resolution, version=1)
    assert {type(answer) for answer in (await foreseen(books, review_id)).values()} == {Refusal}
    assert await books.everything() == before


async def test_of_a_webhook_and_a_rejection_that_meet_the_first_one_counts(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order())
    review_id = await desk.miss(session())

    async def pay(connection: Connection) -> None:
        await apply_batch(connection, [incoming(payment())], books.shops, now=NOW)

    with pytest.raises(CannotResolve, match=PAID_BY_IT):
        await meet(books, pay, lambda: desk.resolve(review_id, "reject"))
    assert await books.value("SELECT rejected_challenges FROM kessai.orders") is None


async def test_a_payment_whose_webhook_waits_in_a_review_is_rejected_there(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order())
    review_id = await desk.miss(session())
    await books.apply(payment(amount_minor=1300))
    with pytest.raises(CannotResolve, match="came after all: it is decided on in the review of its event"):
        await desk.resolve(review_id, "reject")
    assert (await desk.resolve(2, "reject")).done == "closed"
