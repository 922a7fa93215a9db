"""Orders from a terminal: registered, read, closed, imported by the thousand."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import assert_one_line
from tests.programs import Kessai

HEADING = "order_id,amount_minor,currency,challenge_hash\n"


def listed(kessai: Kessai, *arguments: str) -> list[dict[str, Any]]:
    ran = kessai("orders", "list", "--json", *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.array()


def add(kessai: Kessai, order_id: str, *more: str, amount: int = 1200, currency: str = "JPY") -> None:
    ran = kessai("orders", "add", order_id, "--amount-minor", str(amount), "--currency", currency, *more)
    assert ran.returncode == 0, ran.stderr


def test_an_order_is_registered_and_shown(kessai: Kessai) -> None:
    add(kessai, "order-1", "--challenge-hash", "sha256:one")
    ran = kessai("orders", "show", "order-1", "--json")
    assert ran.object() == {
        "order_id": "order-1",
        "state": "pending",
        "amount_minor": 1200,
        "currency": "JPY",
        "requirement_id": None,
        "chain_receipt_id": None,
        "paid_at": None,
        "endpoint": "siglume",
        "challenge_hashes": ["sha256:one"],
    }
    shown = kessai("orders", "show", "order-1")
    assert "sha256:one" in shown.stdout
    assert "1200" in shown.stdout


def test_registering_again_changes_nothing_and_another_challenge_is_taken_in(kessai: Kessai) -> None:
    add(kessai, "order-1", "--challenge-hash", "sha256:one")
    add(kessai, "order-1", "--challenge-hash", "sha256:one")
    add(kessai, "order-1", "--challenge-hash", "sha256:two")
    assert len(listed(kessai)) == 1
    assert kessai("orders", "show", "order-1", "--json").object()["challenge_hashes"] == ["sha256:two", "sha256:one"]


def test_an_order_keeps_its_amount(kessai: Kessai) -> None:
    add(kessai, "order-1")
    ran = kessai("orders", "add", "order-1", "--amount-minor", "1300", "--currency", "JPY")
    assert_one_line(ran, says="registered with amount_minor 1200")


def test_the_newest_orders_are_listed_first_and_by_state(kessai: Kessai) -> None:
    assert listed(kessai) == []
    for number in range(3):
        add(kessai, f"order-{number}", currency="jpy")
    assert [order["order_id"] for order in listed(kessai, "--limit", "2")] == ["order-2", "order-1"]
    assert kessai("orders", "cancel", "order-1").returncode == 0
    assert [order["order_id"] for order in listed(kessai, "--state", "cancelled")] == ["order-1"]
    assert set(listed(kessai)[0]) >= {
        *("order_id", "state", "amount_minor", "currency", "requirement_id", "chain_receipt_id", "paid_at")
    }


def test_an_empty_list_says_what_to_do_next(kessai: Kessai) -> None:
    ran = kessai("orders", "list")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "kessai orders add" in ran.stderr


def test_an_endpoint_that_is_not_configured_is_noted(kessai: Kessai) -> None:
    ran = kessai("orders", "add", "x", "--amount-minor", "5", "--currency", "JPY", "--endpoint", "kiosk")
    assert ran.returncode == 0
    assert "no endpoint 'kiosk' is configured here" in ran.stderr


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_of_orders_is_imported_whole(kessai: Kessai, tmp_path: Path, form: str) -> None:
    """More than two chunks, so that one between them would be missed."""
    rows = [
        {"order_id": f"order-{n}", "amount_minor": n + 1, "currency": "USD", "challenge_hash": f"sha256:{n}"}
        for n in range(1234)
    ]
    file = tmp_path / f"orders.{form}"
    lines = [",".join(map(str, row.values())) for row in rows] if form == "csv" else [json.dumps(row) for row in rows]
    file.write_text((HEADING if form == "csv" else "") + "\n".join(lines) + "\n", encoding="utf-8")

    first = kessai("orders", "import", str(file), "--json")
    assert first.object() == {"new": 1234, "known": 0, "applied": 0, "reviewed": 0, "skipped": 0}
    again = kessai("orders", "import", str(file), "--json")
    assert again.object() == {"new": 0, "known": 1234, "applied": 0, "reviewed": 0, "skipped": 0}

    found = {order["order_id"]: order["amount_minor"] for order in listed(kessai, "--limit", "5000")}
    assert found == {row["order_id"]: row["amount_minor"] for row in rows}


def test_a_spreadsheets_csv_comes_from_standard_input(kessai: Kessai) -> None:
    """Byte order mark, semicolons, Windows line ends, a blank line."""
    spreadsheet = "\ufefforder_id;currency;amount_minor\r\na;JPY;1200\r\n\r\nb;USD;5\r\n"
    ran = kessai("orders", "import", "-", "--format", "csv", stdin=spreadsheet)
    assert ran.returncode == 0, ran.stderr
    assert "2 orders registered" in ran.stdout


BAD = (
    HEADING
    + "good,1200,JPY,sha256:good\nzero,0,JPY,\nshort,5,JPY\n,5,JPY,\neuro,5,EUR,\n"
    + '"open,5,JPY,\nfull-width,\uff11\uff12,JPY,\n'
)


def test_one_bad_line_keeps_the_whole_file_out(kessai: Kessai, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(BAD, encoding="utf-8")
    ran = kessai("orders", "import", str(file))
    assert ran.returncode == 1
    assert ran.stdout == ""
    named = [line.partition(":")[0] for line in ran.stderr.splitlines()]
    assert named == ["line 3", "line 4", "line 5", "line 6", "line 7", "line 8", "kessai"]
    assert "nothing is imported" in ran.stderr
    assert listed(kessai) == []


def test_skip_bad_imports_the_good_lines(kessai: Kessai, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(BAD, encoding="utf-8")
    ran = kessai("orders", "import", str(file), "--skip-bad", "--json")
    assert ran.returncode == 0
    assert ran.object() == {"new": 1, "known": 0, "applied": 0, "reviewed": 0, "skipped": 6}
    assert [order["order_id"] for order in listed(kessai)] == ["good"]


def test_only_the_first_bad_lines_are_named(kessai: Kessai) -> None:
    ran = kessai("orders", "import", "-", "--format", "jsonl", stdin="[]\n" * 1000)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 22
    assert "1,000 bad lines" in ran.stderr


def test_a_file_that_contradicts_the_books_stops_there(kessai: Kessai, tmp_path: Path) -> None:
    add(kessai, "order-7", amount=7)
    file = tmp_path / "orders.csv"
    file.write_text(HEADING + "".join(f"order-{n},1200,JPY,\n" for n in range(10)), encoding="utf-8")
    ran = kessai("orders", "import", str(file))
    assert_one_line(ran, says="order 'order-7' is registered with amount_minor 7")
    assert len(listed(kessai)) == 1

    skipped = kessai("orders", "import", str(file), "--skip-bad", "--json")
    assert skipped.object() == {"new": 9, "known": 0, "applied": 0, "reviewed": 0, "skipped": 1}
    assert "line 9" in skipped.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not name order_id"),
        ("order_id,amount_minor\n", "does not name currency"),
        ("order_id,amount_minor,currency,challange_hash\n", "has 'challange_hash'"),
        ("order_id,amount_minor,currency,currency\n", "repeats a column"),
    ],
)
def test_a_heading_that_is_none(kessai: Kessai, text: str, says: str) -> None:
    assert_one_line(kessai("orders", "import", "-", "--format", "csv", stdin=text), says=says)
