"""While Postgres is away work is held, not spent; what is wrong with the connection is not wrong with the work."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg
import pytest
from structlog.testing import capture_logs

from shared.broker.errors import HoldTooLong
from shared.broker.topology import CONFIRMATIONS_QUEUE, DEAD, DEAD_LETTER, DEAD_LETTERS_QUEUE
from shared.errors import DatabaseUnavailable, SettingsError
from shared.ledger.database import Connection, Pool, TransientConflict, connected, open_pool
from shared.observe.admin import Readiness
from shared.observe.metrics import new_registry
from tests.given import envelope, new_order, payment
from tests.integration.workers.bench import Bench, until
from workers import database
from workers.database import RetryingDatabase


@asynccontextmanager
async def shut(bench: Bench, database_url: str) -> AsyncIterator[None]:
    """Postgres lets nobody into this test's database, and cuts those who are in it."""
    name = urlsplit(database_url).path.removeprefix("/")
    keeper = await asyncpg.connect(urlsplit(database_url)._replace(path="/postgres").geturl())
    try:
        await keeper.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await keeper.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        yield
    finally:
        await keeper.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await keeper.close()


async def select_one(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT 1"))


async def test_an_outage_holds_the_batch_and_burns_nothing(bench: Bench, database_url: str) -> None:
    await bench.books.register(*(new_order(f"order-{n}") for n in range(10)))
    registry = new_registry()
    role = bench.confirmations(registry=registry)
    async with bench.running(role):
        await until(lambda: _is_well(role.readiness))
        assert registry.get_sample_value("kessai_database_up") == 1
        async with shut(bench, database_url):
            await bench.send(*(envelope(payment(f"evt-{n}", f"order-{n}")) for n in range(10)))
            await until(lambda: _is_degraded(role.readiness))
            await asyncio.sleep(1)
            assert await bench.depth(CONFIRMATIONS_QUEUE) == 0  # all of it is held
            assert registry.get_sample_value("kessai_held_deliveries") == 10  # by all consumers together
            assert registry.get_sample_value("kessai_database_up") == 0
        await until(lambda: _applied(bench, 10))
        assert not role.readiness().degraded
        assert registry.get_sample_value("kessai_database_up") == 1
    assert await bench.depth(DEAD_LETTERS_QUEUE) == 0
    assert await bench.depth(CONFIRMATIONS_QUEUE) == 0


async def _is_well(readiness: Callable[[], Readiness]) -> bool:
    return not readiness().degraded


async def _is_degraded(readiness: Callable[[], Readiness]) -> bool:
    return "database" in readiness().degraded


async def _applied(bench: Bench, count: int) -> bool:
    return await bench.events("applied") == count


async def test_what_is_held_too_long_goes_back_until_postgres_is_there(
    bench: Bench, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "HOLD_SECONDS", 0.2)
    await bench.books.register(new_order())
    role = bench.confirmations()
    async with bench.running(role):
        await until(lambda: _is_well(role.readiness))
        async with shut(bench, database_url):
            await bench.send(envelope(payment()))
            await until(lambda: bench.holds(CONFIRMATIONS_QUEUE, 1))
            await asyncio.sleep(1)
            (waiting,) = await bench.taken(CONFIRMATIONS_QUEUE)
            headers = waiting.header.properties.headers or {}
            assert int(str(headers["x-delivery-count"])) <= 2  # once for each lane at most
            await bench.send(envelope(payment()))
        await until(lambda: _applied(bench, 1))


async def test_a_postgres_that_only_reads_costs_one_delivery(
    bench: Bench, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "HOLD_SECONDS", 0.2)
    name = urlsplit(database_url).path.removeprefix("/")
    await bench.books.register(new_order())
    role = bench.confirmations()
    async with bench.running(role):
        await until(lambda: _is_well(role.readiness))
        await bench.pool.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await bench.pool.expire_connections()
        await bench.send(envelope(payment()))
        await _goes_back_and_stays(bench)
        async with bench.pool.acquire() as connection:
            await connection.execute("SET default_transaction_read_only = off")
            await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await until(lambda: _applied(bench, 1))


async def test_a_full_disk_that_takes_a_row_and_no_batch_costs_one_delivery(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "HOLD_SECONDS", 0.2)
    await bench.pool.execute(
        """
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON kessai.webhook_archive FOR EACH ROW EXECUTE FUNCTION full_disk();
        """
    )
    await bench.books.register(new_order())
    async with bench.running(bench.confirmations()):
        await bench.send(envelope(payment()))
        await _goes_back_and_stays(bench)
        await bench.pool.execute("DROP TRIGGER full_disk ON kessai.webhook_archive")
        await until(lambda: _applied(bench, 1))


async def _goes_back_and_stays(bench: Bench) -> None:
    """The event is in its queue again, delivered once to each lane at most, and nobody takes it."""
    await until(lambda: bench.holds(CONFIRMATIONS_QUEUE, 1))
    await asyncio.sleep(3)
    (waiting,) = await bench.taken(CONFIRMATIONS_QUEUE)
    headers = waiting.header.properties.headers or {}
    assert int(str(headers["x-delivery-count"])) <= 2
    await bench.send(envelope(payment()))


async def test_failed_events_that_rabbitmq_refuses_are_held_and_spend_no_delivery(bench: Bench) -> None:
    channel = await bench.channel()
    await channel.queue_unbind(DEAD_LETTERS_QUEUE, DEAD, DEAD_LETTER)
    with capture_logs() as told:
        async with bench.running(bench.confirmations()):
            await bench.send(b"no envelope of ours")
            await asyncio.sleep(1.5)
            assert await bench.depth(CONFIRMATIONS_QUEUE) == 0
            await channel.queue_bind(DEAD_LETTERS_QUEUE, DEAD, DEAD_LETTER)
            await until(lambda: bench.holds(DEAD_LETTERS_QUEUE, 1))
    names = [line["event"] for line in told]
    assert names.count("worker.failed_events_held") == names.count("event.failed") == 1
    assert names.count("consumer.started") == 3, "a consumer began anew: its deliveries went back to the queue"
    assert await bench.depth(CONFIRMATIONS_QUEUE) == 0


async def test_work_without_deliveries_is_patient_without_limit(
    bench: Bench, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "HOLD_SECONDS", 0.1)
    async with shut(bench, database_url):
        with pytest.raises(HoldTooLong, match="held 7 deliveries"):
            await bench.retrying_database().run(select_one, held=7)
        waiting = asyncio.create_task(bench.retrying_database().run(select_one))
        await asyncio.sleep(1)
        assert not waiting.done()
    assert await waiting == 1


async def test_a_worker_takes_nothing_before_it_can_keep_it(bench: Bench, database_url: str) -> None:
    """Each restart during an outage would otherwise spend a delivery of everything in hand."""
    await bench.books.register(new_order())
    async with shut(bench, database_url):
        await bench.send(envelope(payment()))
        async with bench.running(bench.confirmations()):
            await asyncio.sleep(0.7)
            assert await bench.depth(CONFIRMATIONS_QUEUE) == 1
    async with bench.running(bench.confirmations()):
        await until(lambda: _applied(bench, 1))


@pytest.mark.parametrize("code", ["57P01", "57P03", "53300", "25006", "42P01"])
async def test_an_error_of_the_server_is_an_outage(bench: Bench, code: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with connected(bench.pool) as connection:
            await connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'so' USING ERRCODE = '{code}'; END $$")


async def test_a_connection_that_was_cut_in_the_pool_is_an_outage(bench: Bench) -> None:
    """asyncpg has several errors for it, depending on what it has read of the farewell so far."""
    async with bench.pool.acquire() as cutter:
        for turn in range(30):
            async with connected(bench.pool) as connection:
                number = await connection.fetchval("SELECT pg_backend_pid()")
            await cutter.execute("SELECT pg_terminate_backend($1)", number)
            await asyncio.sleep(0.001 * (turn % 4))
            with suppress(DatabaseUnavailable):
                async with connected(bench.pool) as connection, connection.transaction():
                    await connection.fetch("SELECT $1::text[], $2::int", ["a"], turn)


async def test_a_transaction_left_idle_too_long_is_an_outage(database_url: str) -> None:
    """As when the process was frozen: Postgres has rolled the work back, and nothing is wrong with it."""
    pool = await open_pool(database_url, application="test", size=1, statement_timeout=0.1)
    try:
        with pytest.raises(DatabaseUnavailable):
            await dawdle(pool)
    finally:
        pool.terminate()


async def dawdle(pool: Pool) -> None:
    async with connected(pool) as connection, connection.transaction():
        await asyncio.sleep(0.5)
        await connection.execute("SELECT 1")


async def test_a_lock_that_does_not_come_is_a_conflict(bench: Bench, database_url: str) -> None:
    await bench.books.register(new_order())
    pool = await open_pool(database_url, application="test", size=1, statement_timeout=0.4)
    try:
        async with bench.pool.acquire() as other, other.transaction():
            await other.execute("SELECT FROM kessai.orders FOR UPDATE")
            with pytest.raises(TransientConflict):
                async with connected(pool) as connection:
                    await connection.execute("SELECT FROM kessai.orders FOR UPDATE")
    finally:
        pool.terminate()


async def test_a_lock_of_a_whole_table_is_an_outage_that_names_the_lock(bench: Bench) -> None:
    await bench.books.register(new_order())
    role = bench.confirmations()
    with capture_logs() as log:
        async with bench.running(role):
            await until(lambda: _is_well(role.readiness))
            async with bench.pool.acquire() as other, other.transaction():
                await other.execute("LOCK TABLE kessai.orders IN SHARE MODE")  # as CREATE INDEX does
                await bench.send(envelope(payment()))
                await until(lambda: _is_degraded(role.readiness))
                assert "kessai.orders is locked (ShareLock)" in role.readiness().degraded["database"]
            await until(lambda: _applied(bench, 1))
    assert ["kessai.orders" in line["error"] for line in log if line["event"] == "worker.holding"] == [True]
    assert [line for line in log if line["event"] == "event.failed"] == []


async def test_work_that_must_not_be_repeated_soon_does_not_wait_for_the_lock_of_a_table(bench: Bench) -> None:
    books = RetryingDatabase(bench.pool, waits_for_table_locks=False)

    async def in_transaction(connection: Connection) -> None:
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = 50")
            await connection.execute("LOCK TABLE kessai.orders IN ROW EXCLUSIVE MODE")

    async with bench.pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE kessai.orders IN SHARE MODE")
        with pytest.raises(TransientConflict):
            await books.run(in_transaction)


async def test_a_certificate_that_disappears_holds_deliveries_and_ends_what_holds_none(bench: Bench) -> None:
    books, tries = RetryingDatabase(bench.pool), 0

    async def work(_: Connection) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise SettingsError("KESSAI_DATABASE_URL cannot be used: root certificate is not there")

    await books.run(work, held=3)
    assert tries == 2
    tries = 0
    with pytest.raises(SettingsError):
        await books.run(work)


async def test_a_database_that_defaults_to_other_isolation_strands_nothing(bench: Bench, database_url: str) -> None:
    """The books look again after they waited for a lock; that look must see what was committed meanwhile."""
    name = urlsplit(database_url).path.removeprefix("/")
    await bench.pool.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    pool = await open_pool(database_url, application="test", size=1, statement_timeout=5)
    try:
        assert await pool.fetchval("SHOW transaction_isolation") == "read committed"
    finally:
        pool.terminate()


async def test_conflicts_are_retried_a_few_times(bench: Bench) -> None:
    tries = 0

    async def work(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        raise TransientConflict("in the way")

    with pytest.raises(TransientConflict):
        await RetryingDatabase(bench.pool).run(work, held=1)
    assert tries == database.CONFLICT_TRIES
