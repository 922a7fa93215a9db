"""How does the bench reach the books with the ledger's own functions? By a pool that lives as long as one block."""

from shared.ledger.database import Pool, open_pool


class Pooled:
    """A pool for one piece of work, as people or as workers reach the books."""

    def __init__(self, dsn: str, *, as_worker: bool = False) -> None:
        self._dsn = dsn
        self._as_worker = as_worker

    async def __aenter__(self) -> Pool:
        self._pool = await open_pool(
            self._dsn, application="kessai bench", size=2, statement_timeout=60.0, keys_only=self._as_worker
        )
        return self._pool

    async def __aexit__(self, *_: object) -> None:
        self._pool.terminate()
