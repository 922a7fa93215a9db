"""Reads a merchant's file of orders, CSV or JSON lines, one line at a time, and names every bad line."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from deploy.cli.file_format import FileFormat
from shared.endpoint_tables import ENDPOINT_NAME
from shared.errors import KessaiError
from shared.ledger.orders import InvalidOrder, NewOrder

REQUIRED = ("order_id", "amount_minor", "currency")
OPTIONAL = ("challenge_hash", "endpoint")
WHOLE_NUMBER = re.compile(r"[0-9]{1,16}", re.ASCII)


class UnreadableOrders(KessaiError):
    """The file does not hold orders."""


@dataclass(frozen=True, slots=True)
class Line:
    """An order and the number of its line."""

    number: int
    order: NewOrder


@dataclass(frozen=True, slots=True)
class BadLine:
    number: int
    problem: str


Read = Callable[[BinaryIO], Iterator[Line | BadLine]]


def reader(form: FileFormat, *, endpoint: str) -> Read:
    """Return the reader of a format; `endpoint` is for orders that name none. Reading raises UnreadableOrders."""
    read = {FileFormat.CSV: _csv_rows, FileFormat.JSONL: _json_rows}[form]

    def orders(file: BinaryIO) -> Iterator[Line | BadLine]:
        for number, row in read(file):
            yield BadLine(number, row) if isinstance(row, str) else _line(number, row, endpoint)

    return orders


def _line(number: int, row: Mapping[str, object], endpoint: str) -> Line | BadLine:
    try:
        return Line(number, _order(row, endpoint))
    except InvalidOrder as error:
        return BadLine(number, str(error))


def _order(row: Mapping[str, object], endpoint: str) -> NewOrder:
    unknown = row.keys() - {*REQUIRED, *OPTIONAL}
    if unknown:  # a misspelt challenge_hash would cost the order its payment
        raise InvalidOrder(f"unknown field {sorted(unknown)[0]!r}: the fields are {', '.join((*REQUIRED, *OPTIONAL))}")
    missing = [name for name in REQUIRED if row.get(name) is None]
    if missing:
        raise InvalidOrder(f"{missing[0]} is missing")
    amount = row["amount_minor"]
    if type(amount) is not int:
        raise InvalidOrder(f"amount_minor must be a whole number of minor units, not {str(amount)[:40]!r}")
    named = _text(row, "endpoint") or endpoint
    if not ENDPOINT_NAME.fullmatch(named):
        raise InvalidOrder(f"endpoint {named[:64]!r} is no name of an endpoint")
    return NewOrder(
        order_id=_text(row, "order_id") or "",
        amount_minor=amount,
        currency=_text(row, "currency") or "",
        endpoint=named,
        challenge_hash=_text(row, "challenge_hash") or None,
    )


def _text(row: Mapping[str, object], name: str) -> str | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidOrder(f"{name} must be text, not {type(value).__name__}")
    if not value.isascii() and "\N{REPLACEMENT CHARACTER}" in value:
        raise InvalidOrder(f"{name} is not UTF-8")
    return value


def _json_rows(file: BinaryIO) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield number, f"not JSON: {error.msg}"
        else:
            yield number, row if isinstance(row, dict) else "not a JSON object"


def _csv_rows(file: BinaryIO) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
    try:
        yield from _csv_lines(text)
    finally:
        text.detach()  # the caller reads the file a second time


def _csv_lines(text: io.TextIOWrapper) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    """Read each line as one row: no field of an order spans lines, so a missing quote spoils only its own line."""
    heading = text.readline()
    delimiter = _delimiter(heading)
    names = [name.strip() for name in next(csv.reader([heading], delimiter=delimiter), [])]
    _check_heading(names)
    for number, line in enumerate(text, start=2):
        try:
            values = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            yield number, f"not CSV: {error}"
        else:
            if any(values):
                yield number, _csv_row(names, values)


def _csv_row(names: list[str], values: list[str]) -> Mapping[str, object] | str:
    if len(values) != len(names):
        return f"{len(values)} fields where the heading has {len(names)}"
    row: dict[str, object] = {name: value.strip() or None for name, value in zip(names, values, strict=True)}
    amount = row.get("amount_minor")
    if isinstance(amount, str) and WHOLE_NUMBER.fullmatch(amount):
        row["amount_minor"] = int(amount)
    return row


def _check_heading(names: list[str]) -> None:
    unknown = [name for name in names if name not in (*REQUIRED, *OPTIONAL)]
    missing = [name for name in REQUIRED if name not in names]
    if missing or unknown or len(set(names)) < len(names):
        wrong = (
            f"does not name {missing[0]}" if missing else f"has {unknown[0][:40]!r}" if unknown else "repeats a column"
        )
        raise UnreadableOrders(
            f"the heading {wrong}: the first line names the columns {', '.join(REQUIRED)} "
            f"and, optionally, {' and '.join(OPTIONAL)}"
        )


def _delimiter(heading: str) -> str:
    """Return the delimiter, which spreadsheets choose by country."""
    return max(",;\t", key=heading.count)
