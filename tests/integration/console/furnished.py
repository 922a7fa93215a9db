"""Books after a bad night: orders in every state, reviews, dead letters, hostile text."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shared.broker.envelope import Failure
from shared.ledger import dead_letters, users
from shared.ledger.database import Pool, connected
from shared.ledger.passwords import hashed
from shared.ledger.roles import Role
from tests.given import confirmation, envelope, incoming, new_order, payment, settlement, usage
from tests.integration.ledger.books import TestBooks

SCRIPT: Final = "<script>alert(1)</script>"
IMAGE: Final = '"><img src=x onerror=alert(1)>'
FORMULA: Final = "=cmd|'/c calc'!A1"
HOSTILE: Final = (SCRIPT, IMAGE, FORMULA)
"""What a payload may hold that a page must only ever show."""

PASSWORD: Final = "correct horse battery staple"
PASSWORD_HASH: Final = hashed(PASSWORD)
PEOPLE: Final = {"vera": Role.VIEWER, "otto": Role.OPERATOR, "ada": Role.ADMIN}


async def let_in(pool: Pool, people: dict[str, Role] | None = None) -> None:
    async with connected(pool) as connection:
        for name, role in (people or PEOPLE).items():
            await users.add(connection, name, role, PASSWORD_HASH, actor="cli:test")


async def furnish(pool: Pool, *, letters: int = 12) -> None:
    """Everything that the pages can show, some of it hostile."""
    books = TestBooks(pool)
    await _payments(books)
    await _reviews(books)
    await bury(pool, letters)
    await _tallies(pool)
    await pool.execute(
        """
        INSERT INTO kessai.replays (state, source, filter, total, planned_by, why, started_by, started_at, next_item)
        VALUES ('running', 'dead_letters', '{}', 812, 'user:otto', $1, 'user:otto', now(), 301),
               ('paused', 'archive', '{}', 40, 'user:ada', 'classifier knows the new band', 'user:ada', now(), 11)
        """,
        f"orders were imported late {SCRIPT}",
    )


async def _payments(books: TestBooks) -> None:
    now = datetime.now(UTC)
    names = [f"order-2026-{number:05d}" for number in range(140)]
    await books.register(*(new_order(name) for name in names))
    await books.register(new_order("order-micro", 200), new_order(SCRIPT), new_order(IMAGE), new_order(FORMULA))
    await books.register(new_order("order-usd", 1234, currency="USD"), new_order("../..", 900))
    for number, name in enumerate(names[:90]):
        at = now - timedelta(seconds=40 * number + 5)
        await books.apply(incoming(payment(f"evt_{number:04d}9f3c", name), received_at=at))
    for name in HOSTILE:
        await books.apply(incoming(payment(f"evt-{name}", name), received_at=now - timedelta(minutes=3)))
    await books.apply(incoming(usage("evt-usage", "order-micro"), received_at=now - timedelta(minutes=7)))
    await books.apply(incoming(settlement("evt-batch", "batch-2026-47"), received_at=now - timedelta(minutes=9)))
    await books.apply(incoming(payment("evt_00009f3c", names[0]), received_at=now - timedelta(minutes=1)))
    await books.cancel(names[139])


async def _reviews(books: TestBooks) -> None:
    now = datetime.now(UTC)
    odd: Sequence[tuple[str, bytes]] = (
        ("amount", payment("evt-amount", "order-2026-00100", amount_minor=1900)),
        ("currency", payment("evt-currency", "order-2026-00101", currency="USD")),
        ("merchant", payment("evt-merchant", "order-2026-00102", merchant=IMAGE)),
        ("again", payment("evt-again", "order-2026-00001", requirement_id="req-another")),
        ("closed", payment("evt-closed", "order-2026-00139")),
        ("nobody", payment("evt-nobody", "order-not-yet-registered", note=SCRIPT)),
        ("script", payment("evt-script", "order-2026-00103", amount_minor=FORMULA, currency=SCRIPT)),
        ("shape", confirmation("evt-shape", {"mode": "external_503", "pricing_band": SCRIPT})),
    )
    for number, (_, raw) in enumerate(odd):
        await books.apply(incoming(raw, received_at=now - timedelta(minutes=11 * number)))
    await books.rows("UPDATE kessai.reviews SET opened_at = now() - interval '30 hours' WHERE review_id = 1")


async def bury(pool: Pool, letters: int) -> None:
    """Dead letters of three groups; the first is of the largest."""
    now = datetime.now(UTC)
    causes = (
        Failure("transient:OrderLockTimeout", "OrderLockTimeout", "another transaction held the order for 2 s"),
        Failure("malformed:not_json", "MalformedEvent", f"the body is no JSON {SCRIPT}"),
        Failure("delivery_limit", IMAGE, "a worker died twenty times with this event in hand"),
    )
    bodies = (
        payment("evt-dead", "order-2026-00120"),
        b'{"id": "evt-\x00\x1b[31m\xe2\x80\xaegnp.exe", "note": "' + SCRIPT.encode() + b'", "broken": \xff\xfe',
        payment(f"evt-{IMAGE}", FORMULA),
    )
    async with connected(pool) as connection:
        for number in range(letters):
            which = 0 if number % 6 < 4 else number % 2 + 1
            raw = bodies[which].replace(b"evt-dead", b"evt-dead-%d" % number)
            sent = envelope(raw, received_at=now - timedelta(minutes=2 * number), attempts=number % 5)
            await dead_letters.archive(connection, [(sent, causes[which])])


async def _tallies(pool: Pool) -> None:
    """A week of them: a daily tide, a pause, a burst of dead letters."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    rows: list[tuple[Any, ...]] = []
    for minute in range(7 * 24 * 60):
        at = now - timedelta(minutes=minute)
        tide = 260 + 190 * math.sin((at.hour * 60 + at.minute) / 1440 * 2 * math.pi - 1.6)
        applied = 0 if 31 <= minute < 36 else int(tide + 40 * math.sin(minute * 1.7))
        rows.append((at, "siglume", "standard_settled", "applied", applied, 0.12 + (9.5 if 36 > minute > 29 else 0.05)))
        for outcome, often, number in (("duplicate", 3, 4), ("ignored", 9, 2), ("review", 17, 1 + minute % 3)):
            if minute % often == 0:
                rows.append((at, "siglume", "standard_settled", outcome, number, 0.2))
        if 8 <= minute < 12:
            rows.append((at, "siglume", "standard_settled", "dead_letter", 9, 0.4))
    await pool.executemany(
        """
        INSERT INTO kessai.tallies (at, endpoint, kind, outcome, deliveries, longest_wait, key_fingerprint)
        VALUES ($1, $2, $3, $4, $5, $6, 'k1')
        """,
        rows,
    )
