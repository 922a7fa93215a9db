"""Which statements does the worker send for one payment? Recorded from the worker's own code, as a pgbench script.

Nothing is written down twice: whatever the ledger sends for a sample event is taken as it was sent, and where it names
the sample's order, event or hash, the script calls the function of `traffic.SQL` with pgbench's own number.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from deploy.bench import traffic
from deploy.bench.queues import envelope_of
from shared.ledger.apply import apply_batch
from shared.ledger.books import Shop
from shared.ledger.incoming import Incoming, read
from shared.sdrp.signature import SigningSecret

Statement = tuple[str, Sequence[object]]
"""SQL with $1, $2, ... and the arguments that went with it."""


def payment_script(database_url: str, *, sample: int, secret: str, endpoint: str) -> str:
    """SQL for pgbench that pays order `:n` in one transaction, as the worker would pay order `sample`, an open one."""
    envelope = envelope_of(sample, secret=SigningSecret.from_text(secret), endpoint=endpoint)
    names = {
        traffic.order_id(sample): "bench.order_id(:n)",
        traffic.event_id(sample): "bench.event_id(:n)",
        traffic.challenge_hash(sample): "bench.challenge_hash(:n)",
        traffic.requirement_id(sample): "bench.requirement_id(:n)",
        traffic.chain_receipt_id(sample): "bench.chain_receipt_id(:n)",
        str(envelope.receipt_id): "bench.receipt_id(:n)::text",
        envelope.receipt_id.hex: "bench.receipt_id(:n)::text",
    }
    sent = asyncio.run(_record(database_url, [read(envelope)], endpoint))
    write = _writer(names)
    return "\n".join(["BEGIN;", *(_filled(sql, [write(value) for value in args]) for sql, args in sent), "COMMIT;", ""])


async def _record(database_url: str, batch: Sequence[Incoming], endpoint: str) -> list[Statement]:
    """What `apply_batch` sends, without the frame of its transaction, which is rolled back."""
    sent: list[Statement] = []
    connection = await asyncpg.connect(database_url)
    try:
        frame = connection.transaction()
        await frame.start()
        with connection.query_logger(lambda record: sent.append((record.query, record.args or ()))):
            await apply_batch(connection, batch, {endpoint: Shop(merchant=traffic.MERCHANT)}, now=datetime.now(UTC))
            await asyncio.sleep(0)  # asyncpg reports a query in the next iteration of the loop
        await frame.rollback()
    finally:
        await connection.close()
    return [(sql, args) for sql, args in sent if not sql.startswith(("SAVEPOINT", "RELEASE"))]


def _writer(names: dict[str, str]) -> Callable[[object], str]:
    """Turns an argument into an SQL expression in which the sample's names follow `:n`."""
    known = re.compile("|".join(map(re.escape, names)))

    def text(value: str) -> str:
        pieces = [_quoted(piece) for piece in known.split(value)]
        calls = [names[found] for found in known.findall(value)]
        joined = [pieces[0], *(part for pair in zip(calls, pieces[1:], strict=True) for part in pair)]
        return "(" + " || ".join(part for part in joined if part != "E''") + ")" if calls else pieces[0]

    def write(value: object) -> str:
        match value:
            case None:
                return "NULL"
            case str():
                return text(value)
            case bytes():
                return (
                    f"convert_to({text(value.decode())}, 'UTF8')" if _is_text(value) else f"'\\x{value.hex()}'::bytea"
                )
            case UUID():
                return f"{text(str(value))}::uuid"
            case datetime():
                return f"{_quoted(value.isoformat())}::timestamptz"
            case list() | tuple():
                return f"ARRAY[{', '.join(map(write, value))}]"
            case _:
                return str(value)

    return write


def _is_text(value: bytes) -> bool:
    try:
        return value.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _quoted(text: str) -> str:
    """A literal in which pgbench sees no variable and no end of a statement."""
    safe = (char if char.isalnum() or char in " _-.,{}" else f"\\x{ord(char):02x}" for char in text)
    return f"E'{''.join(safe)}'"


def _filled(sql: str, values: Sequence[str]) -> str:
    return " ".join(re.sub(r"\$(\d+)", lambda found: values[int(found[1]) - 1], sql).split()) + ";"
