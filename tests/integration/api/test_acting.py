"""A client acts as its user: in the same ways, by the same rules, and on record under the same name."""

import asyncio
import json
from datetime import timedelta
from urllib.parse import quote

import pytest

from shared.broker.envelope import Failure
from shared.ledger import dead_letters, resolve, reviews
from shared.ledger.database import Pool, connected
from shared.ledger.decisions import Decision, Resolution
from tests.given import NOW, SECRET, challenge_hash, envelope, incoming, new_order, payment
from tests.integration.api.client import SHOPS, ApiClient
from tests.integration.api.conftest import Connect
from tests.integration.console.furnished import HOSTILE
from tests.integration.console.test_evidence import ask_about
from tests.integration.ledger.books import TestBooks

FAILED = Failure("handler_error", "KeyError")
STRANGE = (*HOSTILE, "a/b", "a%2Fb", "a%252Fb", "%", "a?b#c", "a b+c", "{order_id}", "...", "日本", "a\nb", "';--")


async def bury(books: TestBooks, *raws: bytes) -> None:
    async with connected(books.pool) as connection:
        for raw in raws:
            await dead_letters.archive(connection, [(envelope(raw), FAILED)])


async def test_an_order_is_registered_once_and_cancelled_under_the_users_name(
    books: TestBooks, connect: Connect
) -> None:
    client = await connect("otto")
    order = {
        "order_id": "order-1",
        "amount_minor": 1200,
        "currency": "JPY",
        "challenge_hash": challenge_hash("order-1"),
    }
    new, known = await client.post("/orders", **order), await client.post("/orders", **order)
    assert (new.status, known.status, new.json) == (201, 200, known.json)
    assert new.headers["Location"] == "/api/v1/orders/order-1"
    assert new.json == (await client.get("/orders/order-1")).json
    assert new.json["challenge_hashes"] == [challenge_hash("order-1")]
    other = await client.post("/orders", **(order | {"amount_minor": 1300}))
    assert (other.problem, "keeps its values" in other.json["detail"]) == ("conflict", True)
    assert (await client.post("/orders/order-1/cancel")).json["state"] == "cancelled"
    assert await books.acts() == [
        *(("cli:test", "user.added", f"user:{name}") for name in ("vera", "otto", "ada")),
        ("test", "token.added", "token:otto/test-0"),
        ("user:otto", "order.registered", "order-1"),
        ("user:otto", "order.cancelled", "order-1"),
    ]


async def test_a_payment_that_waited_is_applied_by_a_registration(books: TestBooks, connect: Connect) -> None:
    await books.apply(payment())
    told = await (await connect("otto")).post(
        "/orders", order_id="order-1", amount_minor=1200, currency="JPY", challenge_hash=challenge_hash("order-1")
    )
    assert (told.status, told.json["state"]) == (201, "paid")


@pytest.mark.parametrize("strange", STRANGE)
async def test_an_id_may_be_any_text(books: TestBooks, connect: Connect, strange: str) -> None:
    client = await connect("otto")
    told = await client.post("/orders", order_id=strange, amount_minor=1200, currency="JPY")
    assert told.status == 201, told.raw
    await books.rows("UPDATE kessai.orders SET endpoint = $1", strange)
    await books.apply(payment(f"evt-{strange}", strange))
    path = told.headers["Location"].removeprefix("/api/v1")
    for each in (path, f"/orders/{quote(strange, safe='')}"):
        assert (await client.get(each)).json["order_id"] == strange
    assert (await client.get(f"{path}/timeline")).items[0]["what"] == "order.registered"
    event = await client.get(f"/events/siglume/{quote(f'evt-{strange}', safe='')}")
    assert event.json["event_id"] == f"evt-{strange}"
    assert (await client.get("/orders", endpoint=strange)).items[0]["order_id"] == strange


async def test_whoever_acts_on_what_has_changed_since_is_refused(books: TestBooks, connect: Connect) -> None:
    await books.register(new_order())
    await books.apply(payment(amount_minor=1300))
    otto, ada = await connect("otto"), await connect("ada")
    seen = (await otto.get("/reviews/1")).json
    assert (seen["version"], seen["choices"]) == (1, ["accept-mismatch", "reject", "reprocess"])
    assert (await otto.post("/reviews/1/claim", version=1)).json["assignee"] == "user:otto"
    decided = {"resolution": "accept-mismatch", "why": "agreed by mail"}
    for told in (
        await ada.post("/reviews/1/claim", version=1),
        await ada.post("/reviews/1/claim", version=2),
        await ada.post("/reviews/1/resolve", version=1, **decided),
        await ada.post("/reviews/1/release", version=1),
        await ada.post("/reviews/1/withdraw", version=1),
        await ada.post("/reviews/1/approve", version=1),
    ):
        assert told.problem == "conflict", told.raw
    assert (await ada.post("/reviews/1/resolve", **decided)).json["errors"] == [
        {"field": "version", "message": "Field required"}
    ]
    assert (await otto.post("/reviews/1/notes", body="asked the buyer")).json["author"] == "user:otto"
    done = await otto.post("/reviews/1/resolve", version=2, **decided)
    assert (done.json["done"], done.json["order_state"]) == ("closed", "paid")
    late = await ada.post("/reviews/1/resolve", version=2, **decided)
    assert (late.problem, "was closed by user:otto" in late.json["detail"]) == ("conflict", True)
    whole = (await otto.get("/reviews/1")).json
    assert [act["action"] for act in whole["acts"]] == ["review.resolved", "note.added", "review.claimed"]
    assert (whole["choices"], whole["notes"][0]["body"]) == ([], "asked the buyer")


@pytest.mark.parametrize("said", [{}, {"why": "the buyer showed the receipt"}])
async def test_a_suggestion_is_taken_for_its_own_reason_or_the_given_one(
    books: TestBooks, connect: Connect, said: dict[str, str]
) -> None:
    await ask_about(books)
    otto = await connect("otto")
    assert (await otto.post("/reviews/1/follow", version=2, why="")).status == 422
    done = await otto.post("/reviews/1/follow", version=2, **said)
    assert (done.json["done"], done.json["order_state"]) == ("closed", "paid")
    assert (await otto.get("/reviews/1")).json["why"] == said.get("why", "it is settled and fits")


async def test_a_token_is_no_second_person(books: TestBooks, connect: Connect) -> None:
    """What somebody proposed at a page, their own client cannot approve; another person's can."""
    await books.register(new_order())
    await books.apply(payment(amount_minor=1300))
    otto, ada = await connect("otto", approvals=2), await connect("ada")
    async with connected(books.pool) as connection:
        await resolve.resolve(
            connection,
            1,
            Decision(Resolution.ACCEPT_MISMATCH, "agreed"),
            actor="user:otto",
            shops=SHOPS,
            now=NOW,
            approvals=2,
        )
        version = (await reviews.find(connection, 1))[0].version
    own = await otto.post("/reviews/1/approve", version=version)
    assert (own.problem, "a second person must approve it" in own.json["detail"]) == ("conflict", True)
    assert (await ada.post("/reviews/1/approve", version=version)).json["order_state"] == "paid"


async def test_what_one_script_proposes_can_be_taken_back(books: TestBooks, connect: Connect) -> None:
    await books.register(new_order())
    await books.apply(payment(amount_minor=1300))
    otto = await connect("otto", approvals=2)
    proposed = await otto.post("/reviews/1/resolve", version=1, resolution="accept-mismatch", why="agreed")
    assert proposed.json["done"] == "proposed"
    assert (await otto.post("/reviews/1/withdraw", version=2)).json["proposed"] is None


async def test_dead_letters_are_discarded_and_reopened_all_or_none(books: TestBooks, connect: Connect) -> None:
    await bury(books, payment("dead-1"), payment("dead-2"), b"\xff\x00{")
    client = await connect("otto")
    group = (await client.get("/dead-letters/1")).json["group_id"]
    (version,) = [
        each["version"]
        for each in (await client.get("/dead-letter-groups", state="open")).items
        if each["group_id"] == group
    ]
    stale = await client.post("/dead-letters/discard", group_id=group, version="another", why="a test shop")
    assert (stale.problem, "2 are open by now" in stale.json["detail"]) == ("conflict", True)
    done = await client.post("/dead-letters/discard", group_id=group, version=version, why="a test shop")
    assert done.json == {"state": "discarded", "count": 2, "dead_letter_ids": [1, 2]}
    mixed = await client.post("/dead-letters/discard", dead_letter_ids=[2, 3], why="x")
    missing = await client.post("/dead-letters/discard", dead_letter_ids=[3, 4], why="x")
    assert (mixed.problem, missing.problem) == ("conflict", "not-found")
    both: dict[str, object] = {"group_id": group, "version": version, "dead_letter_ids": [3]}
    wrongs: list[dict[str, object]] = [
        both,
        {},
        {"group_id": group},
        {"dead_letter_ids": [3], "version": version},
        {"dead_letter_ids": []},
        {"dead_letter_ids": ["3"]},
    ]
    for wrong in wrongs:
        assert (await client.post("/dead-letters/discard", why="x", **wrong)).problem == "invalid", wrong
    assert (await client.post("/dead-letters/discard", dead_letter_ids=[3], why=" ")).problem == "invalid"
    assert (await client.get("/dead-letters/3")).json["state"] == "open"
    assert (await client.post("/dead-letters/reopen", dead_letter_ids=[2], why="it was not")).json["count"] == 1


async def test_the_bytes_of_a_dead_letter_come_as_they_are_and_as_a_file(books: TestBooks, connect: Connect) -> None:
    raw = b'\xff\x00<script>alert(1)</script>\r\n{"id": '
    await bury(books, raw)
    client = await connect("vera")
    told = await client.get("/dead-letters/1/raw")
    assert told.raw == raw
    assert told.headers["Content-Type"] == "application/octet-stream"
    assert told.headers["Content-Disposition"] == 'attachment; filename="dead-letter-1.bin"'
    assert told.headers["X-Content-Type-Options"] == "nosniff"
    whole = (await client.get("/dead-letters/1")).json
    assert (whole["raw_bytes"], whole["raw"]) == (len(raw), raw.decode("utf-8", "backslashreplace"))


async def test_a_dead_letter_whose_bytes_are_deleted_says_so_everywhere(books: TestBooks, connect: Connect) -> None:
    await bury(books, payment())
    await books.rows("UPDATE kessai.dead_letters SET state = 'discarded', raw = NULL, raw_deleted_at = '2026-11-01Z'")
    client = await connect("otto")
    whole = (await client.get("/dead-letters/1")).json
    assert (whole["raw"], whole["raw_bytes"], whole["raw_deleted_at"]) == (None, None, "2026-11-01T00:00:00Z")
    for path in ("/dead-letters/1/raw", "/dead-letters/1/proof"):
        assert (await client.get(path)).problem == "not-found"
    assert (await client.post("/dead-letters/reopen", dead_letter_ids=[1], why="it was ours")).problem == "conflict"


async def settled(client: ApiClient, plan_id: int) -> str:
    for _ in range(200):
        state = str((await client.get(f"/replays/{plan_id}")).json["state"])
        if state != "planning":
            return state
        await asyncio.sleep(0.02)
    raise AssertionError("the plan is still in the making")


async def test_a_replay_is_planned_in_the_background_and_driven_on_record(books: TestBooks, connect: Connect) -> None:
    await books.register(new_order("order-0"), new_order("order-1"))
    await bury(books, *(payment(f"evt-{number}", f"order-{number}") for number in range(3)))
    client = await connect("otto")
    asked = await client.post("/replays", reasons=["handler_error"], since="2026-11-20T00:00:00Z")
    assert (asked.status, asked.json["total"]) == (202, 3)
    assert asked.json["state"] in {"planning", "planned"}
    path = asked.headers["Location"].removeprefix("/api/v1")
    assert await settled(client, asked.json["plan_id"]) == "planned"
    assert (await client.get(path)).json["predicted"] == {"applied": 2, "review": 1}
    assert (await client.post(f"{path}/start", why=" ")).problem == "invalid"
    started = await client.post(f"{path}/start", why="INC-1", rate=None, canary=2, stop_on_fail=0.5)
    assert (started.json["state"], started.json["rate"], started.json["started_by"]) == ("running", None, "user:otto")
    assert (await client.post(f"{path}/start", why="INC-1")).problem == "conflict"
    assert (await client.post(f"{path}/pause")).json["state"] == "paused"
    assert (await client.post(f"{path}/resume", stop_on_fail=0.1)).json["stop_on_fail"] == 0.1
    assert (await client.post(f"{path}/cancel")).json["state"] == "cancelled"
    acts = (await client.get("/audit", subject=f"replay:{asked.json['plan_id']}", actor="user:otto")).items
    assert [act["action"] for act in acts] == ["replay.cancel", "replay.resume", "replay.pause", "replay.start"]


async def test_a_plan_of_nothing_or_of_everything_by_mistake_is_refused(books: TestBooks, connect: Connect) -> None:
    client = await connect("otto")
    for told in (
        await client.post("/replays"),
        await client.post("/replays", all=True),
        await client.post("/replays", source="reviews", groups=["a"]),
    ):
        assert told.problem == "invalid"
    await bury(books, payment())
    await books.rows("UPDATE kessai.dedupe_horizon SET claims_before = $1", NOW + timedelta(days=1))
    await books.rows("DELETE FROM kessai.webhook_events")
    beyond = await client.post("/replays", all=True)
    assert (beyond.problem, "no longer on record" in beyond.json["detail"]) == ("invalid", True)
    assert (await client.get("/replays")).items == []


async def test_an_export_comes_whole_in_either_form(books: TestBooks, connect: Connect) -> None:
    client = await connect("vera")
    assert (await client.get("/exports/orders.jsonl")).raw == b""
    await books.register(*(new_order(f"order-{number:04d}") for number in range(1500)))
    lines = (await client.get("/exports/orders.jsonl")).raw.splitlines()
    assert [json.loads(line)["order_id"] for line in lines] == [f"order-{number:04d}" for number in range(1500)]
    table = await client.get("/exports/orders.csv", until="2000-01-01T00:00:00Z")
    assert table.raw.startswith(b"order_id,endpoint,")
    assert len(table.raw.splitlines()) == 1
    assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert table.headers["Content-Disposition"] == 'attachment; filename="orders.csv"'
    for what in ("events", "reviews", "dead-letters", "audit"):
        assert (await client.get(f"/exports/{what}.csv")).status == 200, what


async def test_receipts_tell_what_is_kept_of_an_event(books: TestBooks, connect: Connect) -> None:
    await books.register(new_order())
    await books.apply(incoming(payment()), incoming(payment(amount_minor=1)))
    kept = (await (await connect("vera")).get("/events/siglume/evt-1/receipts")).items
    assert [(each["kept_in"], each["raw_bytes"]) for each in kept] == [
        ("archive", len(payment())),
        ("archive", len(payment(amount_minor=1))),
    ]


async def test_notes_are_kept_with_their_thing_under_the_users_name(books: TestBooks, connect: Connect) -> None:
    await books.register(new_order("a/b"), new_order("order-1"))
    await books.apply(payment(amount_minor=1300))
    await bury(books, payment("dead-1"))
    otto = await connect("otto")
    group = (await otto.get("/dead-letters/1")).json["group_id"]
    assert await settled(otto, (await otto.post("/replays", all=True)).json["plan_id"]) == "planned"
    for path in ("/orders/a%2Fb", "/reviews/1", f"/dead-letter-groups/{group}", "/replays/1"):
        kept = await otto.post(f"{path}/notes", body="asked the buyer")
        assert (kept.json["author"], kept.json["body"]) == ("user:otto", "asked the buyer"), path
        await otto.post(f"{path}/notes", body="who answered")
        assert [note["body"] for note in (await otto.get(f"{path}/notes")).items] == ["asked the buyer", "who answered"]
        assert (await otto.post(f"{path}/notes", body=" ")).problem == "invalid"
    for path in ("/orders/none", "/reviews/9", "/dead-letter-groups/none", "/replays/9"):
        assert (await otto.post(f"{path}/notes", body="x")).problem == "not-found", path
        assert (await otto.get(f"{path}/notes")).problem == "not-found", path
    (listed,) = (await otto.get("/dead-letter-groups")).items
    assert listed["note"]["body"] == "who answered"


async def test_a_signature_is_proved_again_from_the_kept_bytes(books: TestBooks, connect: Connect) -> None:
    await books.register(new_order())
    await books.apply(incoming(payment()))
    await bury(books, payment("dead-1"), payment("dead-2"))
    vera = await connect("vera")
    (proof,) = (await vera.get("/events/siglume/evt-1/proofs")).items
    assert (proof["verdict"], proof["proved_by"]) == ("proved", SECRET.fingerprint)
    assert (await vera.get("/dead-letters/1/proof")).json["verdict"] == "proved"
    await books.rows("UPDATE kessai.webhook_archive SET raw = raw || ' '")
    assert (await vera.get("/events/siglume/evt-1/proofs")).items[0]["verdict"] == "does_not_match"
    await books.rows("UPDATE kessai.dead_letters SET endpoint = 'elsewhere' WHERE dead_letter_id = 2")
    await books.rows("UPDATE kessai.dead_letters SET key_fingerprint = 'old' WHERE dead_letter_id = 2")
    assert (await vera.get("/dead-letters/2/proof")).json["verdict"] == "key_not_configured"
    await books.rows("DELETE FROM kessai.webhook_archive")
    gone = await vera.get("/events/siglume/evt-1/proofs")
    assert (gone.problem, "look for it in a backup" in gone.json["detail"]) == ("not-found", True)
    for path in ("/events/siglume/none/proofs", "/dead-letters/9/proof"):
        assert (await vera.get(path)).problem == "not-found"


async def test_plans_in_the_making_are_given_up_when_the_console_stops(pool: Pool, connect: Connect) -> None:
    books = TestBooks(pool)
    await books.register(new_order())
    await bury(books, payment())
    client = await connect("otto")
    async with pool.acquire() as blocking, blocking.transaction():
        await blocking.execute("SELECT FROM kessai.orders FOR UPDATE")  # the prediction waits for it
        plan_id = (await client.post("/replays", all=True)).json["plan_id"]
        assert (await client.get(f"/replays/{plan_id}")).json["state"] == "planning"
        await client._browser.client.server.close()
    row = await books.row("SELECT state, ended_because FROM kessai.replays")
    assert tuple(row) == ("cancelled", "not planned to its end: CancelledError")
