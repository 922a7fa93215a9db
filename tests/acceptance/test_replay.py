"""An engineer at a terminal at night: what failed is planned, predicted, replayed and accounted for."""

import asyncio
import time

from shared.broker.envelope import Failure
from shared.ledger import dead_letters
from shared.ledger.database import connected, open_pool
from tests.acceptance.conftest import assert_one_line, running
from tests.given import challenge_hash, envelope, payment
from tests.programs import Kessai

FAULT = Failure("handler_error", "KeyError")
LETTERS = 400
TERMINAL = {"FORCE_COLOR": "1"}
"""Progress is drawn as on a terminal."""


async def _bury(database_url: str) -> None:
    pool = await open_pool(database_url, application="test", size=1, statement_timeout=20.0)
    letters = [(envelope(payment(f"evt-{n}", f"order-{n}", merchant=None), attempts=1), FAULT) for n in range(LETTERS)]
    async with connected(pool) as connection:
        await dead_letters.archive(connection, [*letters, (envelope(b"{broken"), Failure("malformed:not_json", "E"))])
    pool.terminate()


def test_a_night_of_dead_letters(kessai: Kessai, database_url: str) -> None:
    orders = "".join(f"order-{n},1200,JPY,{challenge_hash(f'order-{n}')}\n" for n in range(LETTERS))
    heading = "order_id,amount_minor,currency,challenge_hash\n"
    assert kessai("orders", "import", "-", "--format", "csv", stdin=heading + orders).returncode == 0
    asyncio.run(_bury(database_url))
    assert_one_line(kessai("replay", "plan"), says="--all for every one of them")
    assert_one_line(kessai("replay", "plan", "--reason", "no_such"), says="nothing to replay")
    (worst, _) = kessai("dead-letters", "groups", "--json").array()

    made = kessai("replay", "plan", "--group", worst["group_id"], "--json").object()

    assert (made["events"], made["predicted"]) == (LETTERS, {"applied": LETTERS})
    (first, *_) = kessai("replay", "events", str(made["plan_id"]), "--limit", "1", "--json").array()
    assert first["predicted"] == {"order_id": "order-0", "from": "pending", "to": "paid"}
    plan = str(made["plan_id"])
    assert_one_line(kessai("replay", "start", plan, "--why", " "), says="say why")
    assert_one_line(kessai("replay", "start", plan, "--why", "x", "--rate", "5x"), code=2, says="is no rate")
    assert kessai("replay", "start", plan, "--why", "INC-1", "--rate", "150/s").returncode == 0
    with running(kessai):
        _until_some_are_done(kessai, plan)
    with running(kessai):  # the workers were stopped in the middle; others go on
        ended = kessai("replay", "status", plan, "--watch", "--json", environment=TERMINAL)
        again = kessai("replay", "plan", "--from", "archive", "--all", "--json").object()
        start = ("replay", "start", str(again["plan_id"]), "--why", "twice", "--rate", "none")
        repeated = kessai(*start, "--wait", "--json", environment=TERMINAL)

    assert ended.returncode == 0, ended.stderr
    assert ended.object().items() >= {
        "state": "done", "total": LETTERS, "done": LETTERS, "results": {"applied": LETTERS}, "why": "INC-1",
    }.items()  # fmt: skip
    assert repeated.object()["results"] == {"duplicate": LETTERS}
    assert (f"{LETTERS}/{LETTERS}" in ended.stderr, repeated.stderr) == (True, ""), "only --watch shows progress"
    assert_one_line(kessai("replay", "pause", plan), says="is done: only one that is running can be told to pause")
    assert [group["reason"] for group in kessai("dead-letters", "groups", "--json").array()] == ["malformed:not_json"]
    assert {order["state"] for order in kessai("orders", "list", "--limit", "1000", "--json").array()} == {"paid"}
    assert [job["plan_id"] for job in kessai("replay", "history", "--json").array()][-1] == made["plan_id"]


def _until_some_are_done(kessai: Kessai, plan: str) -> None:
    deadline = time.monotonic() + 20
    while not 0 < kessai("replay", "status", plan, "--json").object()["done"] < LETTERS:
        assert time.monotonic() < deadline
        time.sleep(0.1)
