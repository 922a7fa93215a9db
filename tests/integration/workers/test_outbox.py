"""The outbox relay: what was committed is told, in order for each subject, by however many relays."""

from collections import Counter, defaultdict
from typing import Any

from tests.given import new_order, payment
from tests.integration.workers.bench import Bench, until


async def told(bench: Bench) -> bool:
    return not await bench.books.value("SELECT count(*) FROM kessai.outbox WHERE published_at IS NULL")


def by_order(heard: list[dict[str, Any]]) -> dict[str, list[str]]:
    facts = defaultdict(list)
    for fact in heard:
        facts[fact["order_id"]].append(fact["fact_id"])
    return facts


async def expected(bench: Bench) -> dict[str, list[str]]:
    rows = await bench.books.rows(
        "SELECT subject, body::json ->> 'fact_id' AS fact_id FROM kessai.outbox ORDER BY outbox_id"
    )
    facts = defaultdict(list)
    for row in rows:
        facts[row["subject"]].append(row["fact_id"])
    return facts


async def pay_twice_over(bench: Bench, count: int) -> None:
    """Each order has three facts: paid, and two reviews of further payments."""
    await bench.books.register(*(new_order(f"order-{n}") for n in range(count)))
    for turn in range(3):
        await bench.books.apply(
            *(payment(f"evt-{turn}-{n}", f"order-{n}", requirement_id=f"req-{turn}") for n in range(count))
        )


async def test_each_subject_hears_its_facts_in_order_from_two_relays_at_once(bench: Bench) -> None:
    async with bench.subscribed() as heard, bench.running(bench.outbox(), bench.outbox()):
        await pay_twice_over(bench, 200)
        await until(lambda: told(bench))
        await until(lambda: _heard(heard, 600))
    assert by_order(heard) == await expected(bench)


async def _heard(heard: list[dict[str, Any]], count: int) -> bool:
    return len(heard) >= count


async def test_what_was_told_but_not_marked_is_told_again_in_order(bench: Bench) -> None:
    """As when a relay dies between RabbitMQ's confirm and its own commit."""
    await pay_twice_over(bench, 20)
    await bench.pool.execute(
        """
        CREATE SEQUENCE marks;
        CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('marks') <= 3 THEN RAISE EXCEPTION 'died' USING ERRCODE = '40001'; END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER die BEFORE UPDATE ON kessai.outbox FOR EACH STATEMENT EXECUTE FUNCTION die();
        """
    )
    async with bench.subscribed() as heard:
        async with bench.running(bench.outbox()):
            await until(lambda: told(bench))
        await until(lambda: _heard(heard, 61))
    once = {order_id: list(dict.fromkeys(facts)) for order_id, facts in by_order(heard).items()}
    assert once == await expected(bench)
    repeated = [fact for fact, times in Counter(fact["fact_id"] for fact in heard).items() if times > 1]
    assert repeated


async def test_the_relay_outlives_whatever_is_in_its_way(bench: Bench) -> None:
    await pay_twice_over(bench, 1)
    await bench.pool.execute(
        """
        CREATE SEQUENCE marks;
        CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('marks') <= 8 THEN RAISE EXCEPTION 'in the way' USING ERRCODE = '55P03'; END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER die BEFORE UPDATE ON kessai.outbox FOR EACH STATEMENT EXECUTE FUNCTION die();
        """
    )
    async with bench.running(bench.outbox()):
        await until(lambda: told(bench))


async def test_a_fact_that_nobody_subscribes_to_is_told_all_the_same(bench: Bench) -> None:
    await bench.books.register(new_order())
    await bench.books.apply(payment())
    async with bench.running(bench.outbox()):
        await until(lambda: told(bench))


async def test_a_review_without_its_queue_holds_up_nothing(bench: Bench) -> None:
    """A missing review queue is an operator's mistake; the books hold the review, and facts go on to who listens."""
    await bench.books.register(new_order("order-1"), new_order("order-2"))
    await bench.books.apply(payment("evt-1", "order-1", amount_minor=7), payment("evt-2", "order-2"))
    channel = await bench.channel()
    await channel.queue_delete("kessai.reviews.mismatch")
    async with bench.subscribed("#") as heard, bench.running(bench.outbox()):
        await until(lambda: told(bench))
        await until(lambda: _heard(heard, 2))
    assert sorted(fact["fact"] for fact in heard) == ["order.paid", "review.opened"]
    assert await bench.books.value("SELECT count(*) FROM kessai.reviews WHERE state = 'open'") == 1
