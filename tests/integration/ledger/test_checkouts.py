"""Starts, answers, crashes, challenges and payments in any order: one active attempt, and no hash without its order."""

from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import KessaiError
from shared.ledger import checkouts
from shared.ledger.books import Order, Shop
from shared.ledger.checkout_rows import ReturnUrls
from shared.ledger.checkout_states import ACTIVE, Attempt, AttemptFact, AttemptState, Step
from shared.ledger.checkouts import OpenedSession
from shared.ledger.database import connected
from shared.ledger.orders import NewOrder
from shared.sdrp.challenge import Challenge, create_challenge
from tests.given import ENDPOINT, NOW, payment
from tests.integration.ledger.books import TABLES, TestBooks

PAGES: Final = ReturnUrls("https://shop.example.com/thanks", "https://shop.example.com/cart")
LEASE: Final = timedelta(hours=1)
SECRET: Final = "edrp_tests"

_places = st.integers(0, 3)
"""Of a request that is under way, among all of them."""
_steps = st.one_of(
    st.tuples(st.just("start"), st.booleans()),
    st.tuples(st.just("start"), st.booleans()),
    st.tuples(st.just("opened"), _places, st.just(AttemptFact.OPENED)),
    st.tuples(st.just("opened"), _places, st.sampled_from(AttemptFact)),
    st.tuples(st.just("ended"), _places, st.sampled_from(AttemptFact)),
    st.tuples(st.just("given back"), _places),
    st.tuples(st.just("crashed")),
    st.tuples(st.just("grown old")),
    st.tuples(st.just("challenged")),
    st.tuples(st.just("paid"), st.integers(1, 4)),
    st.tuples(st.just("cancelled")),
)


def challenge_of(order: Order, nonce: str) -> Challenge:
    return create_challenge(
        secret=SECRET, merchant="tea_house", amount_minor=order.amount_minor, currency=order.currency, nonce=nonce
    )


class Platform:
    """Gives a nonce the same session for ever, and remembers who is on the way to it."""

    def __init__(self, books: TestBooks) -> None:
        self.books = books
        self.under_way: list[tuple[Order, Attempt]] = []
        self.given: set[str] = set()
        """Sessions that a buyer was sent to."""

    async def start(self, *, is_doubted: bool) -> None:
        async with connected(self.books.pool) as connection:
            turn = await checkouts.take_turn(
                connection, "order-1", PAGES, lease=LEASE, is_doubted=is_doubted, actor="test"
            )
        if turn.step in (Step.BEGIN, Step.CREATE, Step.LOOK):
            self.under_way.append((turn.order, turn.attempt))
        if turn.step is Step.REUSE:
            assert turn.attempt.session_id in self.given

    async def answer(self, place: int, fact: AttemptFact) -> None:
        """The session of the nonce, as far as it is, to whoever asked for it, however late."""
        order, attempt = self.under_way[place % len(self.under_way)]
        hash_ = challenge_of(order, attempt.nonce).hash
        session = OpenedSession(f"chk_{attempt.nonce}", "https://siglume.com/pay", hash_, None, fact)
        async with connected(self.books.pool) as connection:
            at = await checkouts.open_session(connection, attempt, session, actor="test", now=NOW)
        assert at.attempt is not None
        if at.attempt.session_id is not None:
            assert fact is AttemptFact.OPENED or not at.attempt.is_active
            self.given.add(at.attempt.session_id)

    async def end(self, place: int, fact: AttemptFact) -> None:
        """As whoever asked heard it; somebody else who asked since knows better."""
        _, attempt = self.under_way[place % len(self.under_way)]
        of_attempt = "SELECT * FROM kessai.checkout_attempts WHERE attempt = $1"
        before = await self.books.row(of_attempt, attempt.attempt)
        async with connected(self.books.pool) as connection:
            await checkouts.end(connection, attempt, fact, actor="test")
        assert before["tries"] == attempt.tries or before == await self.books.row(of_attempt, attempt.attempt)

    async def give_back(self, place: int) -> None:
        async with connected(self.books.pool) as connection:
            await checkouts.give_back(connection, self.under_way[place % len(self.under_way)][1])

    async def challenge(self) -> None:
        async with connected(self.books.pool) as connection:
            attempt, challenge = await checkouts.give_challenge(
                connection, "order-1", challenge_of, actor="test", now=NOW
            )
        assert challenge == challenge_of(await self.books.order(), attempt.nonce)
        assert attempt.state is AttemptState.OPEN

    async def pay(self, attempt: int) -> None:
        """The webhook of an attempt, known to us or not."""
        hash_ = challenge_of(await self.books.order(), f"order-1-attempt_{attempt}").hash
        await self.books.apply(payment(f"evt-{attempt}", challenge_hash=hash_, requirement_id=f"req-{attempt}"))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_steps, min_size=5, max_size=25))
async def test_an_order_has_one_attempt_at_a_time_and_every_session_its_order(
    books: TestBooks, steps: list[tuple[Any, ...]]
) -> None:
    await books.rows(f"TRUNCATE {', '.join(f'kessai.{table}' for table in TABLES)} RESTART IDENTITY")
    books.shops = {ENDPOINT: Shop("tea_house")}
    await books.register(NewOrder("order-1", 1200, "JPY", ENDPOINT))
    platform = Platform(books)
    before: list[dict[str, Any]] = []
    for step in steps:
        with suppress(KessaiError):
            await _do(platform, *step)
        after = [dict(row) for row in await books.rows("SELECT * FROM kessai.checkout_attempts ORDER BY attempt")]
        _check(before, after)
        before = after
    await _check_books(books, before)


def _check(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    assert [row["attempt"] for row in after] == list(range(1, len(after) + 1))
    assert all(row["state"] not in ACTIVE for row in after[:-1])
    assert len({row["nonce"] for row in after}) == len(after)
    for was, now in zip(before, after, strict=False):
        assert now["nonce"] == was["nonce"]
        assert was["session_id"] in (None, now["session_id"])
        if was["state"] not in ACTIVE:
            assert now["state"] in (was["state"], "paid")
    for earlier, later in pairwise(after):
        assert earlier["ended_at"] <= later["begun_at"]


async def _check_books(books: TestBooks, attempts: list[dict[str, Any]]) -> None:
    hashes = {row["challenge_hash"] for row in await books.rows("SELECT * FROM kessai.challenges")}
    assert {row["challenge_hash"] for row in attempts if row["session_id"] is not None} <= hashes
    waiting = await books.rows(
        "SELECT challenge_hash FROM kessai.reviews WHERE state = 'open' AND reason = 'unknown_challenge_hash'"
    )
    assert not hashes & {row["challenge_hash"] for row in waiting}
    begun = [action for _, action, _ in await books.acts()]
    assert begun.count("checkout.begun") == len(attempts)
    assert begun.count("checkout.opened") == sum(row["session_id"] is not None for row in attempts)


async def _do(platform: Platform, what: str, *how: Any) -> None:  # noqa: ANN401 - as drawn
    books = platform.books
    match what, how:
        case "start", (is_doubted,):
            await platform.start(is_doubted=is_doubted)
        case "opened", (place, fact) if platform.under_way:
            await platform.answer(place, fact)
        case "ended", (place, fact) if platform.under_way and fact is not AttemptFact.OPENED:
            await platform.end(place, fact)
        case "given back", (place,) if platform.under_way:
            await platform.give_back(place)
        case "crashed", ():
            await books.rows("UPDATE kessai.checkout_attempts SET leased_until = now() - interval '1 day'")
        case "grown old", ():
            await books.rows(
                "UPDATE kessai.checkout_attempts SET trusted_until = now() - interval '1 day' "
                "WHERE session_id IS NOT NULL"
            )
        case "challenged", ():
            await platform.challenge()
        case "paid", (attempt,):
            await platform.pay(attempt)
        case "cancelled", ():
            await books.cancel("order-1")
