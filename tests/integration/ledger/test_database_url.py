"""The URLs that providers of Postgres hand out open a pool."""

from shared.ledger.database import open_pool


async def test_a_pool_opens_with_the_parameters_of_libpq(database_url: str) -> None:
    parameters = "connect_timeout=5&keepalives=1&channel_binding=prefer&gssencmode=disable&application_name=shop"
    pool = await open_pool(f"{database_url}?{parameters}", application="kessai test", size=1, statement_timeout=5)
    try:
        assert await pool.fetchval("SHOW application_name") == "kessai test"
    finally:
        pool.terminate()
