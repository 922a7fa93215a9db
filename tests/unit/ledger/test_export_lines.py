"""An export is safe to open: no cell is a formula, no character steers anything; JSON lines hold what there is."""

import csv
import io
import json
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.export_lines import ExportFormat, csv_rows, harmless, heading, json_lines

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # noqa: RUF001 - full width


def cells(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1+1", "'  =1+1"),
        ("\"'=1+1", "'\"'=1+1"),
        ("\u3000\uff1d1", "'\u3000\uff1d1"),
        ("\t=1", r"'\t=1"),
        ("\rx", r"'\rx"),
        ("a\x1b[31m\nb", r"a\x1b[31m\nb"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u200b=1", r"\u200b=1"),
        ("決済\u3000ok, a=b-c", "決済\u3000ok, a=b-c"),
        ("order-1", "order-1"),
    ],
)
def test_text_is_never_a_formula_and_steers_nothing(text: str, cell: str) -> None:
    assert harmless(text) == cell


@given(st.lists(st.text(), min_size=1))
def test_whatever_is_written_is_read_as_harmless_cells(texts: list[str]) -> None:
    (row,) = cells(csv_rows([texts]))
    assert len(row) == len(texts)
    for cell in row:
        assert cell.startswith("'") or not cell.lstrip(" '\"\u3000").startswith(FORMULA_STARTS)
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in cell)


def test_csv_keeps_numbers_and_quotes_as_rfc_4180_does() -> None:
    row = [
        -5,
        9_007_199_254_740_991,
        None,
        'say "a", b',
        datetime(2026, 11, 20, 12, tzinfo=UTC),
        UUID(int=7),
        ["a", "b"],
    ]
    assert csv_rows([row]).decode() == (
        '-5,9007199254740991,,"say ""a"", b",2026-11-20T12:00:00Z,00000000-0000-0000-0000-000000000007,a b\r\n'
    )
    assert heading(["a", "b"], ExportFormat.CSV) == b"a,b\r\n"
    assert heading(["a", "b"], ExportFormat.JSONL) == b""


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**63), 2**63 - 1))
def test_json_lines_are_exact(text: str, number: int) -> None:
    kept = orjson.Fragment(json.dumps({"deep": [text, 1e-9]}))
    data = json_lines(["text", "number", "json", "none"], [[text, number, kept, None]] * 2)
    lines = data.decode().split("\n")
    assert lines.pop() == ""
    row = {"text": text, "number": number, "json": {"deep": [text, 1e-9]}, "none": None}
    assert [json.loads(line) for line in lines] == [row, row]
