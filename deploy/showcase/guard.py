"""Checks that the demo may use the servers: no real orders in the books, no other consumer on the queues."""

import asyncio

import psycopg
from psycopg.rows import scalar_row

from deploy.showcase.setting import Setting
from shared.broker.depths import connected, depth_of
from shared.broker.topology import CONSUMER_ROLES
from shared.errors import DatabaseUnavailable, KessaiError


class NotForDemos(KessaiError):
    """The servers that the environment names are in use."""


def require_free(setting: Setting) -> None:
    """Raises NotForDemos, or KessaiError when a server is away."""
    if "postgres" not in setting.private and _holds_real_orders(setting.database_url):
        raise NotForDemos(
            "KESSAI_DATABASE_URL names books with real orders: unset it, and the demo starts a Postgres of its own"
        )
    if "rabbitmq" not in setting.private and asyncio.run(_is_consumed(setting.amqp_url)):
        raise NotForDemos(
            "workers consume from the RabbitMQ of KESSAI_AMQP_URL: stop them, or unset it, and the demo starts its own"
        )


def _holds_real_orders(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=10, row_factory=scalar_row) as connection:
            if connection.execute("SELECT to_regclass('kessai.orders')").fetchone() is None:
                return False
            real = "SELECT EXISTS (SELECT FROM kessai.orders WHERE order_id NOT LIKE 'demo-%')"
            return bool(connection.execute(real).fetchone())
    except psycopg.Error as error:
        raise DatabaseUnavailable(f"Postgres cannot be reached: {str(error).strip().splitlines()[0]}") from error


async def _is_consumed(url: str) -> bool:
    async with connected(url) as connection:
        depths = [await depth_of(queue, connection) for queue in CONSUMER_ROLES]
    return any(depth.consumers for depth in depths if depth is not None)
