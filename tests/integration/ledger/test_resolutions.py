"""A person's decision is written whole or not at all, once, by one person, and with their name under it."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson
import pytest

from shared.ledger.books import Shop
from shared.ledger.orders import OrderConflict, OrderNotFound
from shared.ledger.resolve import CannotApprove, CannotResolve, Resolved, WaitsForApproval
from shared.ledger.reviews import ReviewChanged, ReviewNotFound, ReviewTaken
from tests.given import ABSENT, ENDPOINT, new_order, payment, settlement, usage
from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.desk import ANN, BOB, Desk
from tests.integration.ledger.test_races import soon

LOST = "sha256:lost"
"""A challenge that no order has."""


@pytest.fixture
def desk(books: TestBooks) -> Desk:
    return Desk(books)


async def lost_payment(books: TestBooks, event_id: str = "evt-1", **data: Any) -> None:  # noqa: ANN401 - fields of an event
    await books.apply(payment(event_id, challenge_hash=LOST, **data))


async def unchanged(books: TestBooks, before: Mapping[str, Sequence[str]]) -> bool:
    return await books.everything() == before


async def test_a_lost_payment_is_linked_to_its_order(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order())
    await lost_payment(books)
    done = await desk.resolve(1, "link-order", "order-1")
    assert (done.done, done.outcome, done.order_id, done.order_state) == ("closed", "applied", "order-1", "paid")
    order = await books.order()
    assert (order.state, order.requirement_id, order.chain_receipt_id) == ("paid", "req-order-1", "chain-order-1")
    assert await books.outcome("evt-1") == ("applied", None, "order-1")
    review = await desk.review()
    assert (review.state, review.version, review.closed_by, review.resolution) == ("closed", 2, ANN, "link-order")
    assert (review.why, review.order_id) == ("told by the buyer", "order-1")
    assert review.closed_at is not None
    assert await books.told() == [("review.opened", "evt-1"), ("order.paid", "order-1")]
    assert await books.moves() == [("order-1", "pending", "paid")]
    assert await books.value("SELECT actor FROM kessai.audit WHERE action = 'order.moved'") == ANN
    act = await books.row("SELECT * FROM kessai.audit WHERE action = 'review.resolved'")
    assert (act["actor"], act["subject"], act["endpoint"], act["event_id"]) == (ANN, "review:1", ENDPOINT, "evt-1")
    assert orjson.loads(act["detail"]) == {
        "resolution": "link-order",
        "why": "told by the buyer",
        "order": "order-1",
        "outcome": "applied",
    }


async def test_delivered_again_after_a_decision_an_event_only_counts(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order())
    await lost_payment(books)
    await desk.resolve(1, "link-order", "order-1")
    before = await books.everything("orders", "reviews", "outbox", "audit")
    await lost_payment(books)
    await lost_payment(books, "evt-2")  # the same requirement under another event id
    assert await books.everything("orders", "reviews", "outbox", "audit") == before
    assert await books.outcome("evt-2") == ("duplicate", None, "order-1")


async def test_one_payment_cannot_be_linked_to_two_orders(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order("order-1"), new_order("order-2"))
    await lost_payment(books, "evt-1")
    await lost_payment(books, "evt-2")
    await lost_payment(books, "evt-3", requirement_id="req-other")
    done = await desk.resolve(1, "link-order", "order-1")
    assert done.closed_with_it == 2
    assert await books.outcome("evt-2") == ("duplicate", None, "order-1")
    assert await books.outcome("evt-3") == ("review", "second_payment", "order-1")
    with pytest.raises(ReviewChanged, match="closed by cli:ann with order_linked"):
        await desk.resolve(2, "link-order", "order-2")
    with pytest.raises(CannotResolve, match="belongs to order 'order-1' already"):
        await desk.resolve(4, "link-order", "order-2")
    with pytest.raises(OrderConflict, match="belongs to order 'order-1'"):
        await books.register(new_order("order-3", challenge=LOST))
    assert await books.moves() == [("order-1", "pending", "paid")]


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ({"amount_minor": 1300}, "amount_mismatch: the event says 1300, order 'order-1' says 1200"),
        ({"currency": "USD"}, "currency_mismatch: the event says USD, order 'order-1' says JPY"),
        ({"amount_minor": True}, "amount_mismatch: the event says something unreadable"),
    ],
)
async def test_a_payment_that_does_not_fit_is_linked_only_when_that_is_said(
    books: TestBooks, desk: Desk, data: dict[str, Any], names: str
) -> None:
    await books.register(new_order())
    await lost_payment(books, **data)
    before = await books.everything()
    with pytest.raises(CannotResolve, match=names):
        await desk.resolve(1, "link-order", "order-1")
    assert await unchanged(books, before)
    await desk.resolve(1, "link-order", "order-1", accept_mismatch=True)
    assert (await books.order()).state == "paid"
    assert (await desk.last_act())[3]["accepted"] == names.partition(":")[0]


@pytest.mark.parametrize(
    ("shown", "order_id", "error", "says"),
    [
        (payment(challenge_hash=LOST), "order-9", OrderNotFound, "order-9"),
        (settlement(usage_event_digest=None), "order-1", CannotResolve, "confirms no payment"),
        (payment(amount_minor=1), "order-1", CannotResolve, "belongs to order 'order-1' already.*accept-mismatch"),
        (payment(challenge_hash=LOST), "order-2", CannotResolve, "'order-2' is paid by requirement 'req-order-2'"),
        (payment(challenge_hash=LOST), "order-3", CannotResolve, "'order-3' is cancelled.*paid_after_close"),
    ],
)
async def test_what_cannot_be_linked_is_refused_and_nothing_changes(
    books: TestBooks, desk: Desk, shown: bytes, order_id: str, error: type[Exception], says: str
) -> None:
    await books.register(new_order("order-1"), new_order("order-2"), new_order("order-3"))
    await books.apply(payment("evt-2", "order-2"))
    await books.cancel("order-3")
    await books.apply(shown)
    before = await books.everything()
    with pytest.raises(error, match=says):
        await desk.resolve(1, "link-order", order_id)
    assert await unchanged(books, before)


async def test_no_decision_counts_a_requirement_twice(books: TestBooks, desk: Desk) -> None:
    """Neither by another amount, nor without a challenge that an order has, nor by ruling again."""
    await books.register(new_order("order-1"), new_order("order-2"))
    await books.apply(payment("evt-1", requirement_id="req-x"))
    await books.apply(
        payment("evt-2", "order-2", requirement_id="req-x"),
        payment("evt-3", "order-2", requirement_id="req-x", amount_minor=1),
        payment("evt-4", requirement_id="req-x", challenge_hash=LOST),
    )
    before = await books.everything()
    spent, differs, lost = sorted(await desk.listed())
    assert (await desk.resolve(spent, "reprocess")).done == "unchanged"
    for review_id, resolution, order_id in ((differs, "accept-mismatch", None), (lost, "link-order", "order-2")):
        with pytest.raises(CannotResolve, match="its requirement has paid order 'order-1' already"):
            await desk.resolve(review_id, resolution, order_id)
    assert await unchanged(books, before)
    await desk.resolve(spent, "reject")
    assert (await books.order("order-2")).state == "pending"


async def test_usage_is_accepted_without_the_opt_in(books: TestBooks, desk: Desk) -> None:
    books.shops = {ENDPOINT: Shop(merchant="tea_house")}
    await books.register(new_order(amount_minor=200))
    await books.apply(usage())
    await desk.resolve(1, "accept-metered")
    assert (await books.order()).state == "fulfilled_unsettled"
    assert await books.outcome("evt-1") == ("applied", None, "order-1")
    assert await books.value("SELECT order_id FROM kessai.metered_usage") == "order-1"
    assert await books.told() == [("review.opened", "order-1"), ("order.fulfilled_unsettled", "order-1")]


@pytest.mark.parametrize(
    ("said", "booked"),
    [
        ({"amount_minor": "199.5"}, (Decimal("199.5"), "JPY")),
        ({"currency": "usd"}, (200, "USD")),
        ({"currency": "usd", "amount_minor": ABSENT}, (210, "JPY")),
        ({"currency": ABSENT}, (200, "JPY")),
        ({"amount_minor": "many"}, (210, "JPY")),
    ],
)
async def test_accepted_usage_is_booked_as_the_event_states_it(
    books: TestBooks, desk: Desk, said: dict[str, Any], booked: tuple[Any, str]
) -> None:
    """Its batch will settle what the platform counted, whatever the order says."""
    await books.register(new_order(amount_minor=210))
    await books.apply(usage(**said))
    await desk.resolve(1, "accept-mismatch")
    row = await books.row("SELECT amount_minor, currency FROM kessai.metered_usage")
    assert tuple(row) == booked


async def test_usage_that_does_not_fit_is_accepted_only_when_that_is_said(books: TestBooks, desk: Desk) -> None:
    books.shops = {ENDPOINT: Shop(merchant="tea_house")}
    await books.register(new_order(amount_minor=210))
    await books.apply(usage(), usage("evt-2", challenge_hash=LOST))
    with pytest.raises(CannotResolve, match="amount_mismatch: the event says 200, order 'order-1' says 210"):
        await desk.resolve(1, "accept-metered")
    with pytest.raises(CannotResolve, match="no order has its challenge"):
        await desk.resolve(2, "accept-metered")
    with pytest.raises(CannotResolve, match="its event is metered_integration_required"):
        await desk.resolve(2, "link-order", "order-1")
    await desk.resolve(1, "accept-metered", accept_mismatch=True)
    assert (await books.order()).state == "fulfilled_unsettled"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"amount_minor": 1300}, "amount_mismatch"),
        ({"currency": "USD"}, "currency_mismatch"),
        ({"merchant": "other"}, "merchant_mismatch"),
    ],
)
async def test_a_mismatch_is_accepted(books: TestBooks, desk: Desk, data: dict[str, Any], reason: str) -> None:
    await books.register(new_order())
    await books.apply(payment(**data))
    await desk.resolve(1, "accept-mismatch")
    assert (await books.order()).state == "paid"
    assert (await desk.last_act())[3]["accepted"] == reason


async def test_another_merchants_batch_may_be_accepted(books: TestBooks, desk: Desk) -> None:
    await books.apply(settlement(merchant="other"))
    await desk.resolve(1, "accept-mismatch")
    assert await books.value("SELECT chain_receipt_id FROM kessai.settlement_batches") == "chain-batch-1"
    assert await books.outcome("evt-1") == ("applied", None, None)
    assert [name for name, _ in await books.told()] == ["review.opened", "batch.settled"]


async def test_a_conflict_can_only_be_rejected_and_the_first_event_stands(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order())
    await books.apply(payment(), payment(amount_minor=1), payment("evt-2", requirement_id="req-other"))
    claims = await books.everything("webhook_events")
    for review_id in (1, 2):
        for resolution in ("accept-metered", "accept-mismatch"):
            with pytest.raises(CannotResolve, match="choose reject"):
                await desk.resolve(review_id, resolution)
        assert (await desk.resolve(review_id, "reprocess")).done == "unchanged"
    assert await books.everything("webhook_events") == claims
    await desk.resolve(1, "reject", why="refunded by hand")
    assert await books.outcome("evt-1") == ("applied", None, "order-1")
    await desk.resolve(2, "reject", why="refunded by hand")
    assert await books.outcome("evt-2") == ("ignored", "rejected", "order-1")
    assert len(await books.moves()) == 1


async def test_a_rejected_payment_stays_rejected(books: TestBooks, desk: Desk) -> None:
    await books.apply(payment())
    await desk.resolve(1, "reject", why="refunded by hand")
    assert (await desk.review()).why == "refunded by hand"
    await books.apply(payment())
    await books.register(new_order())
    assert (await books.order()).state == "pending"
    assert await books.reviews() == [("evt-1", "unknown_challenge_hash", "closed")]


async def test_reprocessing_follows_what_is_true_today(books: TestBooks, desk: Desk) -> None:
    opted_in = books.shops
    books.shops = {ENDPOINT: Shop(merchant="tea_house")}
    await books.register(new_order(amount_minor=200))
    await books.apply(usage())
    before = await books.everything()
    assert (await desk.resolve(1, "reprocess")).done == "unchanged"
    assert await unchanged(books, before)
    books.shops = opted_in
    assert (await desk.resolve(1, "reprocess")).outcome == "applied"
    assert (await books.order()).state == "fulfilled_unsettled"
    assert (await desk.review()).resolution == "reprocess"


async def test_reprocessing_may_open_the_review_that_it_is_today_but_no_old_one(books: TestBooks, desk: Desk) -> None:
    opted_in, opted_out = books.shops, {ENDPOINT: Shop(merchant="tea_house")}
    books.shops = opted_out
    await books.apply(usage())
    books.shops = opted_in
    done = await desk.resolve(1, "reprocess")
    assert (done.outcome, done.reason) == ("review", "unknown_metered_challenge_hash")
    assert await books.outcome("evt-1") == ("review", "unknown_metered_challenge_hash", None)
    books.shops = opted_out
    with pytest.raises(CannotResolve, match="metered_integration_required today, which review 1"):
        await desk.resolve(2, "reprocess")
    assert [state for _, _, state in await books.reviews()] == ["closed", "open"]


async def test_without_its_bytes_a_review_can_only_be_rejected(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order())
    await lost_payment(books)
    await books.rows("TRUNCATE kessai.webhook_archive")
    with pytest.raises(CannotResolve, match="bytes of its event are no longer kept"):
        await desk.resolve(1, "link-order", "order-1")
    await desk.resolve(1, "reject")
    assert (await desk.review()).state == "closed"


async def test_nobody_decides_on_what_they_have_not_seen(books: TestBooks, desk: Desk) -> None:
    await lost_payment(books)
    await desk.claim(1, actor=BOB)
    with pytest.raises(ReviewChanged, match=r"review 1 was claimed by cli:bob at .*"):
        await desk.resolve(1, "reject", version=1)
    with pytest.raises(ReviewTaken, match="review 1 is assigned to cli:bob"):
        await desk.resolve(1, "reject", version=2)
    with pytest.raises(ReviewChanged, match="is at version 2, not 7"):
        await desk.resolve(1, "reject", actor=BOB, version=7)
    await desk.resolve(1, "reject", actor=BOB, version=2)
    with pytest.raises(ReviewChanged, match=r"review 1 was closed by cli:bob with reject at .*"):
        await desk.resolve(1, "reject", actor=BOB)
    with pytest.raises(ReviewNotFound):
        await desk.resolve(2, "reject")


async def test_of_two_who_decide_at_once_one_is_told_of_the_other(books: TestBooks, desk: Desk) -> None:
    names = [f"order-{n}" for n in range(20)]
    await books.register(*map(new_order, names))
    lost = [payment(f"evt-{n}", name, challenge_hash=f"lost-{n}") for n, name in enumerate(names)]
    await books.apply(*lost)
    results = await asyncio.gather(
        *(
            soon(lambda n=n, actor=actor: desk.resolve(n + 1, "link-order", f"order-{n}", actor=actor, version=1))  # type: ignore[misc]
            for n in range(20)
            for actor in (ANN, BOB)
        ),
        *(soon(lambda raw=raw: books.apply(raw)) for raw in lost),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert Counter(type(each) for each in results[:40]) == {Resolved: 20, ReviewChanged: 20}
    assert not [each for each in results[40:] if isinstance(each, BaseException)]
    assert Counter(name for name, _ in await books.told()) == {"review.opened": 20, "order.paid": 20}
    assert len(await books.moves()) == 20
    assert await books.value("SELECT count(*) FROM kessai.audit WHERE action = 'review.resolved'") == 20


async def test_a_decision_and_the_registration_of_the_order_may_meet(books: TestBooks, desk: Desk) -> None:
    await books.register(*(new_order(f"named-{n}") for n in range(20)))
    await books.apply(*(payment(f"evt-{n}", f"order-{n}") for n in range(20)))
    results = await asyncio.gather(
        *(soon(lambda n=n: desk.resolve(n + 1, "link-order", f"named-{n}")) for n in range(20)),  # type: ignore[misc]
        *(soon(lambda n=n: books.register(new_order(f"order-{n}"))) for n in range(20)),  # type: ignore[misc]
        return_exceptions=True,
    )
    refused = [each for each in results if isinstance(each, Exception)]
    assert {type(each) for each in refused} <= {ReviewChanged, CannotResolve, OrderConflict}
    assert len(refused) == 20
    assert len(await books.moves()) == 20
    assert await books.value("SELECT count(*) FROM kessai.reviews WHERE state = 'open'") == 0


async def test_where_two_are_asked_one_proposes_and_another_approves(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order())
    await lost_payment(books, amount_minor=1300)
    with pytest.raises(CannotResolve, match="amount_mismatch"):
        await desk.resolve(1, "link-order", "order-1", approvals=2)
    done = await desk.resolve(1, "link-order", "order-1", accept_mismatch=True, approvals=2)
    assert done.done == "proposed"
    assert (await books.order()).state == "pending"
    proposed = (await desk.review()).proposed
    assert proposed is not None
    assert proposed.items() >= {"resolution": "link-order", "order_id": "order-1", "by": ANN}.items()
    for person in (ANN, "console:ann"):
        with pytest.raises(CannotApprove, match="a second person"):
            await desk.approve(1, actor=person)
    with pytest.raises(WaitsForApproval, match="approve it or withdraw it"):
        await desk.resolve(1, "reject", actor=BOB, approvals=2)
    with pytest.raises(ReviewChanged, match="given a proposal by cli:ann"):
        await desk.approve(1, actor=BOB, version=1)
    await desk.approve(1, actor=BOB, version=2)
    assert (await books.order()).state == "paid"
    review = await desk.review()
    assert (review.state, review.closed_by, review.why, review.proposed) == ("closed", BOB, "told by the buyer", None)
    actor, action, subject, detail = await desk.last_act()
    assert (actor, action, subject) == (BOB, "review.resolved", "review:1")
    assert (detail["proposed_by"], detail["approved_by"], detail["accepted"]) == (ANN, BOB, "amount_mismatch")


async def test_a_proposal_is_withdrawn_by_anybody_and_then_gone(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order())
    await lost_payment(books)
    await desk.resolve(1, "link-order", "order-1", approvals=2)
    await desk.withdraw(1, actor=BOB)
    assert (await desk.last_act())[:2] == (BOB, "review.withdrawn")
    with pytest.raises(CannotApprove, match="no decision that waits"):
        await desk.approve(1, actor=BOB)
    with pytest.raises(CannotApprove, match="none to withdraw"):
        await desk.withdraw(1)
    await desk.resolve(1, "reject", approvals=2)  # moves no money, so one is enough
    with pytest.raises(ReviewChanged, match="with reject"):
        await desk.approve(1, actor=BOB)


async def test_an_approval_that_comes_too_late_changes_nothing(books: TestBooks, desk: Desk) -> None:
    await books.register(new_order())
    await lost_payment(books)
    await desk.resolve(1, "link-order", "order-1", approvals=2)
    await books.apply(payment("evt-2"))
    before = await books.everything()
    with pytest.raises(CannotResolve, match="already"):
        await desk.approve(1, actor=BOB)
    assert await unchanged(books, before)
