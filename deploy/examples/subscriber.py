"""Receive the facts about orders: `python deploy/examples/subscriber.py`, with KESSAI_AMQP_URL set."""

import asyncio
import json
import os

import aio_pika


async def main() -> None:
    connection = await aio_pika.connect_robust(os.environ["KESSAI_AMQP_URL"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=100)
    queue = await channel.declare_queue("shop.orders", durable=True, arguments={"x-queue-type": "quorum"})
    await queue.bind("kessai.orders", "order.*")
    seen: set[str] = set()  # a shop keeps this in its own database, in the transaction that ships the goods
    async for message in queue.iterator():
        async with message.process(requeue=True):
            fact = json.loads(message.body)
            if fact["fact_id"] not in seen:
                seen.add(fact["fact_id"])
                amount = fact.get("paid_amount_minor", fact["amount_minor"])  # the price, where nothing is final yet
                print(fact["fact"], fact["order_id"], amount, fact.get("paid_currency", fact["currency"]), flush=True)  # noqa: T201


asyncio.run(main())
