"""`kessai revenue`: what people and scripts read, and files that are compared with the books."""

import csv
import io
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.sdrp.api.usage_csv import COLUMNS
from tests import platform_answers
from tests.integration.cli.conftest import Given, Terminal
from tests.integration.ledger.books import TestBooks
from tests.integration.revenue.accounts import REVENUE_TABLES, Accounts
from tests.integration.revenue.test_report import one_of_each
from tests.statements import stated_batch, stated_usage


async def _each(books: TestBooks) -> None:
    await one_of_each(Accounts(books))


async def _batch_of_two(books: TestBooks) -> None:
    rows = [stated_usage(name, settlement_batch_id="batch-1") for name in ("order-1", "order-2")]
    await Accounts(books).sync(rows, [stated_batch(payments=2, usage_event_count=2)])


def exported(*order_ids: str, **changed: str) -> str:
    """As the platform writes it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for name in order_ids:
        row = platform_answers.usage_event() | {"metered_usage_id": f"mu-{name}", "settlement_batch_id": "batch-1"}
        writer.writerow(row | changed)
    return text.getvalue()


def test_the_report_as_json_csv_and_table(kessai: Terminal, given_books: Given) -> None:
    given_books(_each)
    told = orjson.loads(kessai("revenue", "report", "--period", "2026-11", "--json").stdout)
    assert told["is_explained"]
    assert [each["currency"] for each in told["currencies"]] == ["JPY", "USD"]
    rows = list(
        csv.DictReader(io.StringIO(kessai("revenue", "report", "--period", "2026-11", "--format", "csv").stdout))
    )
    settled = next(row for row in rows if (row["currency"], row["money"]) == ("JPY", "settled"))
    assert (settled["payments"], settled["receivable_minor"], settled["token"]) == ("1", "198", "JPYC")
    assert {row["gross_minor"] for row in rows if row["money"] == "unexplained"} == {"0"}
    table = kessai("revenue", "report", "--period", "2026-W47")
    assert "uncollectible" in table.stdout
    assert "unknown state thawing" in table.stdout
    assert "all is explained up to" in table.stderr


def test_what_nobody_has_compared_is_not_called_explained(kessai: Terminal, given_books: Given) -> None:
    async def fulfil(books: TestBooks) -> None:
        await Accounts(books).fulfil("order-1")

    given_books(fulfil)
    assert "not compared" in kessai("revenue", "report", "--period", "2026-11").stderr


def test_sums_of_the_platform_that_the_books_do_not_come_to_are_told(kessai: Terminal, given_books: Given) -> None:
    async def sums(books: TestBooks) -> None:
        await Accounts(books).sync()
        await books.rows(
            """
            INSERT INTO kessai.statement_summaries
            VALUES ('siglume', 'JPYC', 'settled', 500, 500, now()), ('siglume', 'JPYC', 'unsettled', 500.5, 396, now())
            """
        )

    given_books(sums)
    told = kessai("revenue", "report", "--period", "2026-11").stderr
    assert "sum of unsettled JPYC at siglume was 500.5" in told
    assert "the sum of the books was 396" in told
    assert "sum of settled" not in told


def test_a_period_that_is_none_is_one_line(kessai: Terminal) -> None:
    ran = kessai("revenue", "report", "--period", "soon")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
    assert "write 2026-11" in ran.stderr


def test_exposure_warns_at_the_share_that_was_set(kessai: Terminal, given_books: Given) -> None:
    async def owe(books: TestBooks) -> None:
        await Accounts(books).sync([], [stated_batch(status="ready", payments=30)])

    given_books(owe)
    assert "no buyer is near a threshold" in kessai("revenue", "exposure").stderr
    half = kessai("revenue", "exposure", "--json", environment={"KESSAI_EXPOSURE_WARNING": "0.5"})
    assert [(each["level"], each["exposure_minor"]) for each in orjson.loads(half.stdout)] == [("warning", "6000")]
    assert "fine" in kessai("revenue", "exposure", "--all").stdout


def test_a_file_that_agrees(kessai: Terminal, given_books: Given, tmp_path: Path) -> None:
    given_books(_batch_of_two)
    file = tmp_path / "usage.csv"
    file.write_text(exported("order-1", "order-2"))
    ran = kessai("revenue", "check-csv", "batch-1", str(file))
    assert ran.returncode == 0, ran.stderr
    assert "the file agrees" in ran.stderr


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (exported("order-1"), [("mu-order-2", "row", None, "there")]),
        (exported("order-1", "order-2", "order-3"), [("mu-order-3", "row", "there", None)]),
        (exported("order-1", "order-1", "order-2"), [("mu-order-1", "row", "twice", "once")]),
        (
            exported("order-1") + exported("order-2", protocol_fee_minor="3").split("\r\n", 1)[1],
            [("mu-order-2", "protocol_fee_minor", "3", "2")],
        ),
    ],
)
def test_a_file_that_differs(
    kessai: Terminal,
    given_books: Given,
    tmp_path: Path,
    text: str,
    rows: list[tuple[str, str, str | None, str | None]],
) -> None:
    given_books(_batch_of_two)
    file = tmp_path / "usage.csv"
    file.write_text(text, newline="")
    ran = kessai("revenue", "check-csv", "batch-1", str(file), "--json")
    told = orjson.loads(ran.stdout)
    assert (ran.returncode, told["agrees"]) == (1, False)
    assert [(r["metered_usage_id"], r["field"], r["file"], r["books"]) for r in told["rows"]] == rows


WHOLE = exported("order-1", "order-2")
HOSTILE = {
    "cut in the middle of a row": (WHOLE[:-40], 3, "ends too early, after 1 rows"),
    "cut behind its last value": (WHOLE[:-2], 3, "ends too early, after 1 rows"),
    "empty": ("", 1, "ends too early, after 0 rows"),
    "HTML": ("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", 1, "has no column"),
    "a line of 10 MB": (WHOLE + "x" * 10_000_000 + "\r\n", 4, "longer than 65536 characters"),
    "a field of 10 MB": (WHOLE + '"' + "x\n" * 5_000_000, 4, "longer than 65536 characters"),
    "another header": (WHOLE.replace("protocol_fee_minor", "fee"), 1, "has no column protocol_fee_minor"),
    "an amount that is none": (exported("order-1", protocol_fee_minor="two"), 2, "no plain decimal number"),
    "a row behind one of two lines": (
        exported("order-1", operation_key="tea\nhouse") + "a,b\r\n",
        4,
        "has 2 fields, not 21",
    ),
    "a time that is none": (exported("order-1", created_at="yesterday"), 2, "created_at"),
    "of another batch": (exported("order-1", settlement_batch_id="batch-2"), 2, "is of another batch"),
    "no UTF-8": (WHOLE + "\udcff\r\n", 4, "is not UTF-8"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_no_export_is_one_line_that_says_where(
    kessai: Terminal, given_books: Given, tmp_path: Path, name: str
) -> None:
    held: list[object] = []

    async def look(books: TestBooks) -> None:
        held.append(await books.everything(*REVENUE_TABLES))

    given_books(_batch_of_two)
    given_books(look)
    text, line, problem = HOSTILE[name]
    file = tmp_path / "usage.csv"
    file.write_bytes(text.encode(errors="surrogateescape"))
    ran = kessai("revenue", "check-csv", "batch-1", str(file))
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (1, "", 1)
    assert f"{file}, line {line}: " in ran.stderr
    assert problem in ran.stderr
    assert len(ran.stderr) < 1000
    given_books(look)
    assert held[0] == held[1]


def test_a_file_that_is_not_there_or_of_an_unknown_batch_is_one_line(
    kessai: Terminal, given_books: Given, tmp_path: Path
) -> None:
    given_books(_batch_of_two)
    file = tmp_path / "usage.csv"
    file.write_text(WHOLE)
    assert "no statement of batch" in kessai("revenue", "check-csv", "batch-9", str(file)).stderr
    assert "cannot read" in kessai("revenue", "check-csv", "batch-1", str(tmp_path / "none.csv")).stderr


def test_a_batch_that_states_no_amounts_is_compared_by_its_rows(
    kessai: Terminal, given_books: Given, tmp_path: Path
) -> None:
    async def silent(books: TestBooks) -> None:
        rows = [stated_usage(name, settlement_batch_id="batch-1") for name in ("order-1", "order-2")]
        amounts = ("provider_gross_amount_minor", "protocol_fee_minor", "provider_receivable_minor")
        batch: dict[str, Any] = dict.fromkeys(amounts)
        await Accounts(books).sync(rows, [stated_batch(**batch)])

    given_books(silent)
    file = tmp_path / "usage.csv"
    file.write_text(WHOLE)
    ran = kessai("revenue", "check-csv", "batch-1", str(file))
    assert (ran.returncode, "not stated" in ran.stdout, "agrees with the books, as far as" in ran.stderr) == (
        0,
        True,
        True,
    )
    told = orjson.loads(kessai("revenue", "check-csv", "batch-1", str(file), "--json").stdout)
    assert told["batch"] == dict.fromkeys(["payments", "gross_minor", "fee_minor", "receivable_minor"])
    file.write_text(exported("order-1"))
    assert kessai("revenue", "check-csv", "batch-1", str(file)).returncode == 1


def test_a_row_of_another_currency_is_told_and_added_to_nothing(
    kessai: Terminal, given_books: Given, tmp_path: Path
) -> None:
    dollars = {"currency": "USD", "token_symbol": "USDC"}

    async def mixed(books: TestBooks) -> None:
        rows = [stated_usage("order-1", settlement_batch_id="batch-1")]
        rows.append(stated_usage("order-2", settlement_batch_id="batch-1", **dollars))
        await Accounts(books).sync(rows, [stated_batch("batch-1", payments=2)])

    given_books(mixed)
    file = tmp_path / "usage.csv"
    file.write_text(exported("order-1") + exported("order-2", **dollars).split("\r\n", 1)[1], newline="")
    ran = kessai("revenue", "check-csv", "batch-1", str(file), "--json")
    told = orjson.loads(ran.stdout)
    assert (ran.returncode, told["file"]["gross_minor"], told["books"]["gross_minor"]) == (1, "200", "200")
    assert [(row["metered_usage_id"], row["file"], row["books"]) for row in told["rows"]] == [
        ("mu-order-2", "USD as USDC", "JPY as JPYC")
    ]


def test_a_review_of_a_difference_shows_both_sides_and_is_accepted(kessai: Terminal, given_books: Given) -> None:
    given_books(_batch_of_two)
    listed = kessai("reviews", "list", "--reason", "webhook_missing")
    assert "batch:batch-1" in listed.stdout
    shown = kessai("reviews", "show", "1")
    assert "the statement says" in shown.stdout
    assert "accept-difference" in shown.stderr
    refused = kessai("reviews", "resolve", "1", "reject", "--why", "x")
    assert (refused.returncode, "explain it with accept-difference" in refused.stderr) == (1, True)
    done = kessai("reviews", "resolve", "1", "accept-difference", "--why", "paid by hand")
    assert "the difference is accepted" in done.stdout
