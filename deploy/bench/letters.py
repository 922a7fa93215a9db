"""Which dead letters are there before a replay? Payments by number, written as the dead-letters worker writes them."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

from deploy.bench import queues
from deploy.bench.history import Say
from deploy.bench.pools import Pooled
from shared.broker.envelope import Envelope, Failure
from shared.ledger import dead_letters
from shared.ledger.database import connected
from shared.sdrp.signature import SigningSecret

CHUNK = 1000
HANDLER_FAILED = Failure("handler_error", "KeyError")


def add(
    dsn: str,
    *,
    first: int,
    count: int,
    secret: str,
    endpoint: str,
    failures: Sequence[Failure] = (HANDLER_FAILED,),
    say: Say = lambda _: None,
) -> None:
    """Keep events `first` ... `first + count - 1` as dead letters, with each failure in turn.

    They were received an hour ago: live webhooks differ from them by their time.
    """
    asyncio.run(_archive(dsn, range(first, first + count), SigningSecret.from_text(secret), endpoint, failures, say))


async def _archive(
    dsn: str, numbers: range, secret: SigningSecret, endpoint: str, failures: Sequence[Failure], say: Say
) -> None:
    async with Pooled(dsn) as pool, connected(pool) as connection:
        for start in range(0, len(numbers), CHUNK):
            chunk = numbers[start : start + CHUNK]
            await dead_letters.archive(connection, list(_letters(chunk, secret, endpoint, failures)))
            say(start + len(chunk))


def _letters(
    numbers: range, secret: SigningSecret, endpoint: str, failures: Sequence[Failure]
) -> Iterator[tuple[Envelope, Failure]]:
    for number in numbers:
        envelope = queues.envelope_of(number, secret=secret, endpoint=endpoint)
        received_at = envelope.received_at - timedelta(hours=1)
        yield envelope._replace(received_at=received_at, attempts=1), failures[number % len(failures)]
