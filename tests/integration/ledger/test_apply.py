"""What one transaction leaves in every table, and that the same deliveries again leave nothing more."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from shared.ledger.books import Shop
from shared.ledger.database import TransientConflict
from shared.sdrp.signature import verify
from tests.given import ABSENT, ENDPOINT, NOW, SECRET, envelope, incoming, new_order, payment, settlement, usage
from tests.integration.ledger.books import TestBooks


async def test_a_payment_is_written_to_every_table_it_concerns(books: TestBooks) -> None:
    await books.register(new_order())
    await books.apply(payment())
    order = await books.order()
    assert (order.state, order.requirement_id, order.chain_receipt_id) == ("paid", "req-order-1", "chain-order-1")
    assert order.paid_at == datetime(2026, 11, 20, 11, 59, 58, tzinfo=UTC)
    event = await books.row("SELECT * FROM kessai.webhook_events")
    assert (event["endpoint"], event["event_id"], event["type"]) == (ENDPOINT, "evt-1", "direct_payment.confirmed")
    assert (event["kind"], event["outcome"], event["reason"]) == ("standard_settled", "applied", None)
    assert (event["order_id"], event["deliveries"], event["received_at"]) == ("order-1", 1, NOW)
    assert event["occurred_at"] == datetime(2026, 11, 20, 11, 59, 58, tzinfo=UTC)
    move = await books.row("SELECT * FROM kessai.audit WHERE action = 'order.moved'")
    assert (move["actor"], move["action"], move["subject"]) == ("worker:confirmations", "order.moved", "order-1")
    assert (move["endpoint"], move["event_id"]) == (ENDPOINT, "evt-1")
    assert (move["from_state"], move["to_state"]) == ("pending", "paid")
    fact = await books.row("SELECT * FROM kessai.outbox")
    assert (fact["name"], fact["routing_key"], fact["subject"]) == ("order.paid", "order.paid", "order-1")
    assert fact["published_at"] is None
    assert orjson.loads(fact["body"])["fact_id"] == "order.paid/siglume/evt-1"
    assert not await books.reviews()


async def test_usage_is_booked_and_is_no_revenue(books: TestBooks) -> None:
    await books.register(new_order(amount_minor=200))
    await books.apply(usage())
    order = await books.order()
    assert (order.state, order.paid_at, order.chain_receipt_id) == ("fulfilled_unsettled", None, None)
    used = await books.row("SELECT * FROM kessai.metered_usage")
    assert (used["requirement_id"], used["order_id"], used["event_id"]) == ("req-order-1", "order-1", "evt-1")
    assert (used["pricing_band"], used["amount_minor"], used["currency"]) == ("micro", 200, "JPY")


async def test_without_the_opt_in_usage_only_opens_a_review(books: TestBooks) -> None:
    books.shops = {ENDPOINT: Shop(merchant="tea_house")}
    await books.register(new_order(amount_minor=200))
    await books.apply(usage())
    assert (await books.order()).state == "pending"
    assert await books.outcome("evt-1") == ("review", "metered_integration_required", "order-1")
    review = await books.row("SELECT * FROM kessai.reviews")
    assert (review["queue"], review["state"], review["order_id"]) == ("metered", "open", "order-1")
    assert not await books.rows("SELECT FROM kessai.metered_usage")
    assert await books.told() == [("review.opened", "order-1")]


async def test_a_settled_batch_is_booked_once(books: TestBooks) -> None:
    await books.apply(settlement())
    await books.apply(settlement("evt-2"))
    batch = await books.row("SELECT * FROM kessai.settlement_batches")
    assert (batch["settlement_batch_id"], batch["pricing_band"], batch["state"]) == ("batch-1", "micro", "settled")
    assert (batch["chain_receipt_id"], batch["usage_event_digest"]) == ("chain-batch-1", "digest-batch-1")
    assert batch["settled_at"] == datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
    assert await books.outcome("evt-2") == ("duplicate", None, None)
    assert await books.told() == [("batch.settled", "batch-1")]


async def test_another_receipt_for_a_settled_batch_is_a_conflict(books: TestBooks) -> None:
    await books.apply(settlement())
    await books.apply(settlement("evt-2", chain_receipt_id="chain-other"))
    assert await books.outcome("evt-2") == ("review", "batch_conflict", None)
    assert await books.value("SELECT chain_receipt_id FROM kessai.settlement_batches") == "chain-batch-1"


async def test_a_settlement_time_that_is_no_time_is_left_out(books: TestBooks) -> None:
    times = [ABSENT, None, "soon", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"]
    await books.apply(*(settlement(f"evt-{n}", f"batch-{n}", settled_at=time) for n, time in enumerate(times)))
    rows = await books.rows("SELECT settled_at FROM kessai.settlement_batches")
    assert [row["settled_at"] for row in rows] == [None] * len(times)


async def test_the_oddest_times_of_the_platform_are_kept(books: TestBooks) -> None:
    times = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "20261120T115958Z", "2026-11-20T20:59:58+09:00"]
    await books.register(*(new_order(f"order-{n}") for n in range(len(times))))
    await books.apply(
        *(
            orjson.dumps(orjson.loads(payment(f"evt-{n}", f"order-{n}")) | {"occurred_at": time})
            for n, time in enumerate(times)
        )
    )
    for n, time in enumerate(times):
        assert (await books.order(f"order-{n}")).paid_at == datetime.fromisoformat(time)


async def test_every_outcome_in_one_batch(books: TestBooks) -> None:
    await books.register(new_order("order-1"), new_order("order-2", 200), new_order("order-3"))
    await books.cancel("order-3")
    await books.apply(
        payment("evt-paid"),
        payment("evt-again"),
        payment("evt-second", requirement_id="req-other"),
        usage("evt-usage", "order-2"),
        payment("evt-closed", "order-3"),
        payment("evt-nobody", "order-9"),
        payment("evt-probe", readiness_probe=True),
        payment("evt-odd", pricing_band="grand"),
        settlement("evt-batch"),
        payment("evt-paid", amount_minor=1),
        payment("evt-paid"),
    )
    outcomes = {
        row["event_id"]: (row["outcome"], row["reason"], row["deliveries"])
        for row in await books.rows("SELECT event_id, outcome, reason, deliveries FROM kessai.webhook_events")
    }
    assert outcomes == {
        "evt-paid": ("applied", None, 3),
        "evt-again": ("duplicate", None, 1),
        "evt-second": ("review", "second_payment", 1),
        "evt-usage": ("applied", None, 1),
        "evt-closed": ("review", "paid_after_close", 1),
        "evt-nobody": ("review", "unknown_challenge_hash", 1),
        "evt-probe": ("ignored", "readiness_probe", 1),
        "evt-odd": ("review", "unknown_confirmation_shape", 1),
        "evt-batch": ("applied", None, 1),
    }
    assert await books.reviews() == [
        ("evt-second", "second_payment", "open"),
        ("evt-closed", "paid_after_close", "open"),
        ("evt-nobody", "unknown_challenge_hash", "open"),
        ("evt-odd", "unknown_confirmation_shape", "open"),
        ("evt-paid", "event_id_conflict", "open"),
    ]
    assert await books.told() == [
        ("order.cancelled", "order-3"),
        ("order.paid", "order-1"),
        ("review.opened", "order-1"),
        ("order.fulfilled_unsettled", "order-2"),
        ("review.opened", "order-3"),
        ("review.opened", "evt-nobody"),
        ("review.opened", "evt-odd"),
        ("batch.settled", "batch-1"),
        ("review.opened", "evt-paid"),
    ]
    assert await books.moves() == [
        ("order-3", "pending", "cancelled"),
        ("order-1", "pending", "paid"),
        ("order-2", "pending", "fulfilled_unsettled"),
    ]


async def test_the_broker_may_deliver_a_batch_again_and_nothing_changes(books: TestBooks) -> None:
    await books.register(new_order("order-1"), new_order("order-2", 200))
    batch = [
        incoming(raw)
        for raw in (payment(), usage("evt-2", "order-2"), payment("evt-3", "order-9"), settlement("evt-4"))
    ]
    await books.apply(*batch)
    before = await books.everything()
    await books.apply(*batch)
    await books.apply(*reversed(batch))
    assert await books.everything() == before


async def test_the_platform_may_deliver_again_and_only_the_count_changes(books: TestBooks) -> None:
    await books.register(new_order())
    await books.apply(payment(), payment("evt-2", "order-9"))
    before = await books.everything(*(set(TABLES_WITH_EFFECTS)))
    await books.apply(payment(), payment("evt-2", "order-9"))
    await books.apply(payment(), payment())
    assert await books.everything(*(set(TABLES_WITH_EFFECTS))) == before
    counted = await books.rows("SELECT event_id, deliveries FROM kessai.webhook_events ORDER BY event_id")
    assert [tuple(row) for row in counted] == [("evt-1", 4), ("evt-2", 2)]


TABLES_WITH_EFFECTS = ("orders", "webhook_archive", "reviews", "metered_usage", "settlement_batches", "outbox", "audit")


async def test_conflicting_bytes_are_kept_and_told_once_however_often_they_come(books: TestBooks) -> None:
    await books.register(new_order())
    await books.apply(payment())
    other = payment(amount_minor=99)
    first = incoming(other)
    await books.apply(first, incoming(other))
    await books.apply(first)
    await books.apply(incoming(other))
    assert await books.reviews() == [("evt-1", "event_id_conflict", "open")]
    assert await books.told() == [("order.paid", "order-1"), ("review.opened", "evt-1")]
    await books.apply(payment(amount_minor=98))
    assert len(await books.reviews()) == 2
    assert len(await books.told()) == 3
    assert (await books.order()).state == "paid"


async def test_the_bytes_are_kept_as_they_came_and_prove_themselves_again(books: TestBooks) -> None:
    await books.register(new_order())
    raw = (
        b'\t{ "id":"evt-\\u00e9\xe7\x95\xb3\xf0\x9f\x8d\xb5",'
        + payment()[1:-1].replace(b'"id":"evt-1",', b"")
        + b" }\r\n"
    )
    received = envelope(raw)
    await books.apply(incoming(raw, receipt=received.receipt_id.int))
    kept = await books.row("SELECT * FROM kessai.webhook_archive")
    assert kept["raw"] == raw
    assert kept["signature"] == received.signature
    assert kept["received_at"] == NOW
    proof = verify(kept["raw"], kept["signature"].encode(), secrets=[SECRET], now=kept["received_at"].timestamp())
    assert proof.fingerprint == kept["key_fingerprint"]
    assert (await books.outcome("evt-é畳🍵"))[0] == "applied"


async def test_no_text_of_a_payload_is_mistaken_for_another_row(books: TestBooks) -> None:
    texts = ["a\x1fb", "a\x1eb", "a\x1f\x1f\x1eb", "{a,b}", 'q"\\', "NULL", "x" * 255, "茶" * 255]
    orders = [f"order-{n}" for n in range(len(texts))]
    await books.register(*map(new_order, orders))
    await books.apply(*(payment(text, order, chain_receipt_id=text) for text, order in zip(texts, orders, strict=True)))
    rows = await books.rows("SELECT event_id, order_id FROM kessai.webhook_events")
    assert {row["order_id"]: row["event_id"] for row in rows} == dict(zip(orders, texts, strict=True))
    for text, order in zip(texts, orders, strict=True):
        assert (await books.order(order)).chain_receipt_id == text


async def test_a_requirement_that_paid_another_order_goes_to_review(books: TestBooks) -> None:
    """It is one payment, whatever challenge it names; the evidence says which order has it."""
    await books.register(new_order("order-1"), new_order("order-2"), new_order("order-3"))
    await books.apply(payment("evt-1", "order-1", requirement_id="req-x"))
    await books.apply(payment("evt-2", "order-2", requirement_id="req-x"), payment("evt-3", "order-3"))
    assert [(await books.order(f"order-{n}")).state for n in (1, 2, 3)] == ["paid", "pending", "paid"]
    assert await books.outcome("evt-2") == ("review", "requirement_conflict", "order-2")
    review = await books.row("SELECT queue, evidence FROM kessai.reviews")
    assert review["queue"] == "mismatch"
    assert orjson.loads(review["evidence"])["event"]["requirement_has_paid"] == "order-1"
    assert await books.told() == [("order.paid", "order-1"), ("review.opened", "order-2"), ("order.paid", "order-3")]


async def test_both_sides_of_a_review_are_kept_as_evidence(books: TestBooks) -> None:
    await books.register(new_order())
    raw = payment(merchant="tea\0house", amount_minor="HUGE", token_symbol="DEEP", settled_at={"a": "\0"})
    await books.apply(raw.replace(b'"HUGE"', b"%d" % 2**70).replace(b'"DEEP"', b"[" * 1000 + b"]" * 1000))
    assert (await books.reviews())[0][1:] == ("merchant_mismatch", "open")
    evidence = orjson.loads(await books.value("SELECT evidence FROM kessai.reviews"))
    assert evidence["order"]["amount_minor"] == 1200
    assert evidence["event"]["merchant"] == "tea\N{REPLACEMENT CHARACTER}house"
    assert evidence["event"]["chain_receipt_id"] == "chain-order-1"


@pytest.mark.parametrize(("ahead", "partition"), [(timedelta(0), None), (timedelta(days=-4000), "default")])
async def test_bytes_go_to_their_month_or_to_the_default(
    books: TestBooks, ahead: timedelta, partition: str | None
) -> None:
    received_at = datetime.now(UTC) + ahead
    raw = payment()
    await books.apply(incoming(raw, received_at=received_at))
    name = await books.value("SELECT relname FROM kessai.webhook_archive AS kept JOIN pg_class ON oid = kept.tableoid")
    assert name == f"webhook_archive_{partition or received_at.strftime('%Y_%m')}"


async def test_a_batch_of_whom_one_event_was_claimed_meanwhile_changes_nothing(books: TestBooks) -> None:
    """Between the look and the claim another worker may commit; then the whole batch is a transient conflict."""
    await books.register(new_order("order-1"), new_order("order-2"))
    before = await books.everything()
    await books.rows(
        """
        CREATE FUNCTION claimed_meanwhile() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RETURN CASE WHEN NEW.event_id = 'evt-2' THEN NULL ELSE NEW END; END $$
        """
    )
    await books.rows(
        """
        CREATE TRIGGER claimed_meanwhile BEFORE INSERT ON kessai.webhook_events
        FOR EACH ROW EXECUTE FUNCTION claimed_meanwhile()
        """
    )
    with pytest.raises(TransientConflict, match="claimed an event"):
        await books.apply(payment("evt-1"), payment("evt-2", "order-2"))
    assert await books.everything() == before
