"""What an operator asks at the terminal: which events, which dead letters, are the bytes still those of then?"""

import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from shared.broker.envelope import Failure
from shared.ledger import dead_letters
from shared.ledger.database import connected
from tests.given import NOW, challenge_hash, envelope, incoming, new_order, payment
from tests.integration.cli.conftest import Given, Terminal
from tests.integration.ledger.books import TestBooks
from tests.programs import KESSAI, clean_environment

HOSTILE = b'{"id": "\x1b]0;owned\x07", "\xff": '


async def some_of_each(books: TestBooks) -> None:
    """Two events, one of them conflicting with itself; two dead letters of one group, one of another."""
    await books.register(new_order())
    await books.apply(incoming(payment()), incoming(payment(amount_minor=1)))
    await books.apply(incoming(payment("evt-2", "order-2"), received_at=NOW + timedelta(minutes=1)))
    letters = [
        *((envelope(payment(f"dead-{number}")), Failure("handler_error", "KeyError")) for number in (1, 2)),
        (envelope(HOSTILE), Failure("malformed:not_json", "MalformedEvent", "\x1b[31m")),
    ]
    async with connected(books.pool) as connection:
        for letter in letters:
            await dead_letters.archive(connection, [letter])


def ids(kessai: Terminal, *arguments: str) -> list[object]:
    rows = kessai(*arguments, "--json").array()
    return [row.get("dead_letter_id") or row["event_id"] for row in rows]


def test_lists_are_narrowed_by_every_option(kessai: Terminal, given_books: Given) -> None:
    given_books(some_of_each)
    at = ("--since", "2026-11-20T12:01Z", "--until", "2026-11-20T12:02+00:00")
    assert ids(kessai, "events", "list", "--outcome", "review", "--kind", "standard_settled", *at) == ["evt-2"]
    both = ("--order", "order-1", "--challenge-hash", challenge_hash("order-1"), "--event", "evt-1")
    of = ("--endpoint", "siglume", "--type", "direct_payment.confirmed")
    assert ids(kessai, "events", "list", *both, *of) == ["evt-1"]
    assert ids(kessai, "events", "list", "--reason", "handler_error", "--limit", "1") == ["dead-2"]

    assert ids(kessai, "dead-letters", "list", "--text", '"dead-2"', "--reason", "handler_error", *of) == [2]
    assert ids(kessai, "dead-letters", "list", "--event", "dead-1", "--state", "open", "--since", "520w") == [1]
    assert ids(kessai, "dead-letters", "list", "--order", "order-1") == [2, 1]
    nothing = kessai("dead-letters", "list", "--kind", "none", "--challenge-hash", "none")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "omit one of them" in nothing.stderr


def test_orders_are_narrowed_by_every_option(kessai: Terminal, given_books: Given) -> None:
    async def orders_of_two_endpoints(books: TestBooks) -> None:
        await books.register(new_order("order-1"), new_order("order-2", endpoint="tea_shop"))
        await books.apply(payment())

    given_books(orders_of_two_endpoints)

    def listed(*options: str) -> list[object]:
        return [row["order_id"] for row in kessai("orders", "list", *options, "--json").array()]

    assert sorted(map(str, listed())) == sorted(map(str, listed("--state", "all"))) == ["order-1", "order-2"]
    assert (listed("--state", "paid"), listed("--endpoint", "tea_shop")) == (["order-1"], ["order-2"])
    assert (listed("--since", "1h", "--endpoint", "tea_shop"), listed("--until", "1h")) == (["order-2"], [])
    assert "omit one of them" in kessai("orders", "list", "--until", "1h").stderr
    wrong = kessai("orders", "list", "--state", "open")
    assert (wrong.returncode, "'open' is not one of pending, paid," in wrong.stderr) == (2, True), wrong.stderr


def test_reviews_of_all_states_are_listed_by_name(kessai: Terminal, given_books: Given) -> None:
    given_books(some_of_each)
    assert len(kessai("reviews", "list", "--state", "all", "--json").array()) == 2
    assert kessai("reviews", "list", "--state", "closed", "--json").array() == []


@pytest.mark.parametrize("source", ["dead-letters", "dead_letters"])
def test_the_source_of_a_replay_is_written_as_commands_or_as_json_write_it(
    kessai: Terminal, given_books: Given, source: str
) -> None:
    given_books(some_of_each)
    made = kessai("replay", "plan", "--from", source, "--reason", "handler_error", "--json")
    assert made.object()["events"] == 2, made.stderr


def test_a_group_is_worked_on_together(kessai: Terminal, given_books: Given) -> None:
    given_books(some_of_each)
    first, second = kessai("dead-letters", "groups", "--json").array()
    assert (first["count"], first["error"], second["count"]) == (2, "KeyError", 1)
    assert ids(kessai, "dead-letters", "list", "--group", first["group_id"]) == [2, 1]

    assert kessai("dead-letters", "note", first["group_id"], "since the upgrade").returncode == 0
    assert kessai("dead-letters", "groups", "--json").array()[0]["note"]["body"] == "since the upgrade"
    assert "no dead letter group 'none'" in kessai("dead-letters", "note", "none", "x").stderr

    discard = ("dead-letters", "discard", "--group", first["group_id"], "--why", "a test shop", "--version")
    stale = kessai(*discard, second["version"])
    assert (stale.returncode, "2 are open by now; nothing is changed" in stale.stderr) == (1, True), stale.stderr
    done = kessai(*discard, first["version"], "--json")
    assert done.object() == {"state": "discarded", "count": 2, "dead_letter_ids": [1, 2]}
    again = kessai(*discard, first["version"])
    assert (again.returncode, again.stderr.count("\n"), "has no open" in again.stderr) == (1, 1, True)
    assert kessai("dead-letters", "reopen", "2", "--why", "it was not").stdout == "1 dead letter is open now\n"
    assert ids(kessai, "dead-letters", "list", "--state", "discarded") == [1]
    assert len(kessai("dead-letters", "groups", "--state", "all", "--json").array()) == 2


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("dead-letters", "discard", "--why", "x"), "but not both"),
        (("dead-letters", "discard", "1", "--group", "g", "--why", "x"), "but not both"),
        (("dead-letters", "discard", "--group", "g", "--why", "x"), "belong together"),
        (("dead-letters", "discard", "1", "--version", "v", "--why", "x"), "belong together"),
        (("dead-letters", "discard", "1", "--why", " "), "say why"),
        (("replay", "start", "1", "--why", "half a character: \udcff"), "say why"),
        (("dead-letters", "discard", "4711", "--why", "x"), "no dead letter 4711"),
        (("dead-letters", "discard", "1"), "--why"),
        (("dead-letters", "verify", "4711"), "no dead letter 4711"),
        (("events", "verify", "none"), "no event 'none'"),
        (("events", "list", "--since", "soon"), "is no time"),
        (("events", "list", "--reason", "\udcff"), "invalid input"),
        (("export", "secrets", "--format", "csv"), "there is no export 'secrets'"),
        (("export", "orders", "--format", "xls"), "--format"),
        (("export", "events", "--format", "csv", "--by", "paid"), "only orders can be exported by paid"),
        (("export", "orders", "--format", "csv", "--output", "/nowhere/orders.csv"), "cannot write /nowhere"),
        (("export", "orders", "--format", "csv", "--out", "/dev/full"), "cannot write /dev/full: No space"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(kessai: Terminal, command: tuple[str, ...], says: str) -> None:
    ran = kessai(*command)
    assert ran.returncode != 0
    assert (ran.stdout, ran.stderr.count("\n"), says in ran.stderr) == ("", 1, True), ran


def test_kept_deliveries_are_shown_saved_and_proved_again(kessai: Terminal, given_books: Given, tmp_path: Path) -> None:
    given_books(some_of_each)
    receipts = kessai("events", "show", "evt-1", "--json").object()["receipts"]
    assert [(each["kept_in"], each["signed_at"], each["raw_bytes"]) for each in receipts] == [
        ("archive", "2026-11-20T12:00:00Z", len(payment())),
        ("archive", "2026-11-20T12:00:00Z", len(payment(amount_minor=1))),
    ]
    saved = tmp_path / "body"
    assert kessai("events", "show", "evt-1", "--raw", str(saved)).returncode == 0
    assert saved.read_bytes() == payment()

    proved = kessai("events", "verify", "evt-1", "--json")
    assert proved.returncode == 0, proved.stderr
    assert [(each["verdict"], each["proved_by"]) for each in proved.array()] == [
        ("proved", receipts[0]["key_fingerprint"])
    ] * 2
    assert kessai("dead-letters", "verify", "3").returncode == 0  # signed garbage is signed

    elsewhere = {"SIGLUME_WEBHOOK_SECRET": "whsec_another"}
    unknown = kessai("events", "verify", "evt-1", environment=elsewhere)
    assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1)
    assert unknown.stderr.startswith("key_not_configured: ")


def test_bytes_that_changed_are_not_proved(kessai: Terminal, given_books: Given) -> None:
    async def tampered(books: TestBooks) -> None:
        await books.apply(payment())
        await books.rows("UPDATE kessai.webhook_archive SET raw = raw || ' '::bytea")

    given_books(tampered)
    ran = kessai("events", "verify", "evt-1", "--json")
    assert (ran.returncode, [each["verdict"] for each in ran.array()]) == (1, ["does_not_match"])


def test_bytes_that_retention_dropped_are_said_to_be_gone(kessai: Terminal, given_books: Given) -> None:
    async def dropped(books: TestBooks) -> None:
        await books.apply(payment())
        await books.rows("DELETE FROM kessai.webhook_archive")

    given_books(dropped)
    for command in (("events", "verify", "evt-1"), ("events", "show", "evt-1", "--raw", "-")):
        ran = kessai(*command)
        assert (ran.returncode, ran.stdout, "the archive of that month is gone" in ran.stderr) == (1, "", True)


def test_a_dead_letter_whose_bytes_are_deleted_is_shown_with_the_date(kessai: Terminal, given_books: Given) -> None:
    async def deleted(books: TestBooks) -> None:
        async with connected(books.pool) as connection:
            await dead_letters.archive(connection, [(envelope(payment()), Failure("handler_error", "KeyError"))])
        await books.rows(
            "UPDATE kessai.dead_letters SET state = 'discarded', raw = NULL, raw_deleted_at = '2026-11-01Z'"
        )

    given_books(deleted)
    shown = kessai("dead-letters", "show", "1")
    assert (shown.returncode, "bytes deleted on 2026-11-01" in shown.stdout + shown.stderr) == (0, True)
    assert kessai("dead-letters", "show", "1", "--json").object()["raw"] is None
    for command in (("show", "1", "--raw", "-"), ("verify", "1"), ("reopen", "1", "--why", "it was ours")):
        ran = kessai("dead-letters", *command)
        assert (ran.returncode, ran.stdout, "deleted on 2026-11-01" in ran.stderr) == (1, "", True)


def test_hostile_bytes_stay_harmless_in_every_table(kessai: Terminal, given_books: Given) -> None:
    async def hostile(books: TestBooks) -> None:
        dead = envelope(HOSTILE)._replace(event_id="\x1b[2J", type="\x1b[2J", signature="\x1b[2J")
        async with connected(books.pool) as connection:
            await dead_letters.archive(connection, [(dead, Failure("\x1b[31m", "\x1b[31m", "\x1b[31m"))])

    given_books(hostile)
    for command in (
        ("events", "list"),
        ("events", "show", "\x1b[2J"),
        ("events", "verify", "\x1b[2J"),
        ("dead-letters", "list"),
        ("dead-letters", "groups"),
        ("dead-letters", "show", "1"),
        ("dead-letters", "verify", "1"),
        ("export", "dead-letters", "--format", "csv"),
        ("export", "events", "--format", "csv"),
    ):
        ran = kessai(*command)
        assert "x1b" in ran.stdout or "verify" in command, ran
        assert "\x1b" not in ran.stdout + ran.stderr, command


def test_an_export_is_a_whole_file_or_none(kessai: Terminal, given_books: Given, tmp_path: Path) -> None:
    async def many(books: TestBooks) -> None:
        await books.rows(
            """
            INSERT INTO kessai.audit (actor, action, subject)
            SELECT 'test', 'order.moved', 'order-' || number FROM generate_series(1, 150000) AS number
            """
        )

    given_books(many)
    folder = tmp_path / "exports"
    folder.mkdir()
    file = folder / "audit.csv"
    file.write_text("of yesterday")
    command = ("export", "audit", "--format", "csv", "--output", str(file))
    for sent, code in ((signal.SIGINT, 130), (signal.SIGTERM, 130)):
        running = subprocess.Popen(
            [KESSAI, *command], env=clean_environment() | dict(kessai.environment), stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 20
        while not any(each.stat().st_size for each in folder.glob(".*.partial")):
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.send_signal(sent)
        _, told = running.communicate(timeout=20)
        assert (running.returncode, told) == (code, b"")
        assert [each.name for each in folder.iterdir()] == ["audit.csv"]
        assert file.read_text() == "of yesterday"
    ran = kessai(*command)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert [each.name for each in folder.iterdir()] == ["audit.csv"]
    rows = file.read_text().splitlines()
    assert len(rows) == 1 + 150_000 + 3  # the heading, the rows, and an audit row of each export that was begun
    assert all(",export.taken,export:audit," in row and ",cli:" in row for row in rows[-3:])


def test_an_export_into_a_pipe_that_closes_ends_in_silence(kessai: Terminal, given_books: Given) -> None:
    async def many(books: TestBooks) -> None:
        await books.rows(
            "INSERT INTO kessai.audit (actor, action, subject) SELECT 'a', 'b', 'c' FROM generate_series(1, 20000)"
        )

    given_books(many)
    running = subprocess.Popen(
        [KESSAI, "export", "audit", "--format", "jsonl"],
        env=clean_environment() | dict(kessai.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline().startswith(b'{"audit_id":1,')
    running.stdout.close()
    assert (running.stderr.read(), running.wait(20)) == (b"", 1)


def test_a_family_of_reviews_is_planned_to_be_ruled_on_again(kessai: Terminal, given_books: Given) -> None:
    given_books(some_of_each)
    made = kessai("reviews", "reprocess", "--reason", "unknown_challenge_hash", "--json").object()
    assert (made["events"], made["predicted"]) == (1, {"review": 1})
    assert kessai("replay", "status", str(made["plan_id"]), "--json").object()["source"] == "reviews"
    none = kessai("reviews", "reprocess", "--reason", "batch_conflict")
    assert (none.returncode, none.stderr.count("\n"), "nothing to replay" in none.stderr) == (1, 1, True)
