"""A support agent at a terminal: payments that fit no order, decided one by one, without SQL."""

import asyncio
import getpass

import pytest

from shared.ledger.apply import apply_batch
from shared.ledger.books import Shop
from shared.ledger.database import connected, open_pool
from tests.acceptance.conftest import assert_one_line
from tests.given import ENDPOINT, NOW, incoming, payment, settlement
from tests.programs import Kessai, Ran

ME = f"cli:{getpass.getuser()}"


@pytest.fixture
def agent(kessai: Kessai, database_url: str) -> Kessai:
    """Their books: a pending order and one more, a lost payment, one that does not fit, a batch of another merchant."""
    for order_id in ("order-1", "order-2"):
        ran = kessai("orders", "add", order_id, "--amount-minor", "1200", "--currency", "JPY")
        assert ran.returncode == 0, ran.stderr
    asyncio.run(_apply(database_url, payment(), payment("evt-2", "order-9", amount_minor=7), settlement(merchant="x")))
    return kessai


async def _apply(database_url: str, *raws: bytes) -> None:
    pool = await open_pool(database_url, application="test", size=1, statement_timeout=20.0)
    async with connected(pool) as connection:
        shops = {ENDPOINT: Shop(merchant="tea_house")}
        await apply_batch(connection, [incoming(raw) for raw in raws], shops, now=NOW)
    pool.terminate()


def did(ran: Ran) -> str:
    """The one line that an act prints."""
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()
    return line


def test_a_lost_payment_is_taken_noted_and_linked(agent: Kessai) -> None:
    listed = agent(
        "reviews", "list", "--state", "open", "--reason", "unknown_challenge_hash", "--since", "1d", "--json"
    )
    assert listed.returncode == 0, listed.stderr
    assert [review["review_id"] for review in listed.array()] == [2, 1]
    assert set(listed.array()[0]) >= {
        *("review_id", "queue", "reason", "state", "endpoint", "event_id", "order_id", "opened_at"),
    }
    assert did(agent("reviews", "claim", "1")) == f"review 1 is yours ({ME}), now at version 2"
    assert [r["review_id"] for r in agent("reviews", "list", "--assignee", ME, "--json").array()] == [1]
    assert "note 1 is kept" in did(agent("reviews", "note", "1", "buyer sent the receipt"))
    shown = agent("reviews", "show", "1", "--json").object()
    assert (shown["version"], shown["assignee"], shown["notes"][0]["body"]) == (2, ME, "buyer sent the receipt")
    assert shown["choices"] == ["link-order", "reject", "reprocess"]
    assert [act["action"] for act in shown["acts"]] == ["note.added", "review.claimed"]
    linked = ("reviews", "resolve", "1", "link-order", "--order", "order-1", "--why", "ticket 4711")
    assert_one_line(agent(*linked, "--version", "1"), says=f"review 1 was claimed by {ME}")
    assert did(agent(*linked, "--version", "2")) == (
        "review 1 is closed: link-order, its event is applied, order order-1 is paid"
    )
    assert_one_line(agent(*linked), says=f"review 1 was closed by {ME} with link-order")
    assert agent("orders", "show", "order-1", "--json").object()["state"] == "paid"
    steps = agent("orders", "timeline", "order-1", "--json").array()
    assert {"order.registered", "webhook.received", "review.claimed", "note", "order.moved", "review.closed"} <= {
        step["what"] for step in steps
    }
    story = agent("orders", "timeline", "order-1")
    assert "buyer sent the receipt" in story.stdout
    assert ME in story.stdout


def test_what_does_not_fit_is_told_in_a_line(agent: Kessai) -> None:
    lost = ("reviews", "resolve", "2", "link-order", "--order", "order-2", "--why", "ticket 4712")
    assert_one_line(agent(*lost), says="amount_mismatch: the event says 7, order 'order-2' says 1200")
    assert_one_line(
        agent("reviews", "resolve", "2", "accept-mismatch", "--why", "x"), says="choose link-order or reject"
    )
    assert_one_line(agent("reviews", "resolve", "2", "reject", "--why", " "), says="say why")
    assert_one_line(agent("reviews", "resolve", "2", "link-order", "--why", "x"), says="--order")
    assert_one_line(agent("reviews", "resolve", "2", "reject"), code=2, says="--why")
    assert_one_line(agent("reviews", "list", "--since", "soon"), code=2, says="soon")
    assert_one_line(agent("orders", "note", "order-9", "hello"), says="no order 'order-9'")
    assert did(agent("reviews", "resolve", "2", "reprocess", "--why", "perhaps")).startswith("review 2 stays as it is")
    done = agent(*lost, "--accept-mismatch", "--json").object()
    assert (done["done"], done["outcome"], done["order_state"]) == ("closed", "applied", "paid")


def test_where_two_are_asked_one_alone_moves_nothing(agent: Kessai) -> None:
    two = {"KESSAI_REVIEW_APPROVALS": "2"}
    lost = ("reviews", "resolve", "1", "link-order", "--order", "order-1", "--why", "ticket 4711")
    assert "waits for a second person" in did(agent(*lost, environment=two))
    assert_one_line(agent("reviews", "approve", "1", environment=two), says="a second person must approve it")
    assert "no proposal any more" in did(agent("reviews", "withdraw", "1", environment=two))
    assert agent("orders", "show", "order-1", "--json").object()["state"] == "pending"
    assert_one_line(
        agent("reviews", "list", environment={"KESSAI_REVIEW_APPROVALS": "3"}), says="KESSAI_REVIEW_APPROVALS"
    )
