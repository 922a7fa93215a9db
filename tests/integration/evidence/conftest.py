"""A stall of the test's own, whose reviews a worker asks the platform about."""

from tests.integration.ledger.conftest import books, pool
from tests.integration.sweep.conftest import answers, stall
from tests.integration.workers.conftest import bench

__all__ = ["answers", "bench", "books", "pool", "stall"]
