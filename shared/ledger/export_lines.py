"""What does a row look like in an export? CSV that a spreadsheet may open, JSON lines that a program may trust.

CSV is RFC 4180 in UTF-8: what a spreadsheet would take for a formula begins with an apostrophe, control characters
are written as escapes, and lists and JSON are one text. JSON lines hold every value exactly.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import orjson

_FORMULA = re.compile(r"[\s\"']*[=+\-@＝＋－＠]|\s*[\t\r\n]")  # noqa: RUF001 - some spreadsheets read full width, too


class ExportFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


def heading(columns: Sequence[str], form: ExportFormat) -> bytes:
    """What stands before the first row."""
    return csv_rows([columns]) if form is ExportFormat.CSV else b""


def lines(columns: Sequence[str], rows: Iterable[Sequence[object]], form: ExportFormat) -> bytes:
    return csv_rows(rows) if form is ExportFormat.CSV else json_lines(columns, rows)


def csv_rows(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def json_lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    option = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
    return b"".join(
        orjson.dumps(dict(zip(columns, row, strict=True)), default=_own_form, option=option) for row in rows
    )


def _own_form(value: object) -> str:
    """asyncpg's ids are not those that orjson knows."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _cell(value: object) -> object:
    """What the csv module writes as it should; None is an empty cell, a number stays one."""
    if value is None or type(value) in (int, float):
        return value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, UUID):
        return str(value)
    return harmless(value if isinstance(value, str) else _joined(value))


def _joined(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return orjson.dumps(value).decode()


def harmless(text: str) -> str:
    """`text` as no spreadsheet calculates with it and no terminal is steered by it."""
    shown = text if text.isprintable() else "".join(map(_escaped, text))
    return f"'{shown}" if _FORMULA.match(text) else shown


def _escaped(char: str) -> str:
    """Line ends included, and what is invisible or turns the direction of writing; blanks of any width stay."""
    is_control = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return char.encode("unicode_escape").decode() if is_control else char
