"""Every line of a file of orders is read or named; none is lost, and no bad one costs its neighbours."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.file_format import FileFormat
from deploy.cli.order_files import BadLine, Line, UnreadableOrders, reader

HEADING = b"order_id,amount_minor,currency,challenge_hash,endpoint\n"


def read(text: bytes, form: FileFormat = FileFormat.CSV) -> list[Line | BadLine]:
    return list(reader(form, endpoint="siglume")(io.BytesIO(text)))


def problem_of(text: bytes, form: FileFormat = FileFormat.CSV) -> str:
    (line,) = read(text, form)
    assert isinstance(line, BadLine)
    return line.problem


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"a,1200\n", "2 fields where the heading has 5"),
        (b"a,1200,JPY,h,siglume,more\n", "6 fields"),
        (b",1200,JPY,,\n", "order_id is missing"),
        (b"a,,JPY,,\n", "amount_minor is missing"),
        (b"a,0,JPY,,\n", "amount_minor"),
        (b"a,-5,JPY,,\n", "amount_minor"),
        (b"a,1_200,JPY,,\n", "amount_minor"),
        (b"a,12.0,JPY,,\n", "amount_minor"),
        (b"a,1e3,JPY,,\n", "amount_minor"),
        (b"a,9007199254740992,JPY,,\n", "amount_minor"),
        (b"a,99999999999999999,JPY,,\n", "amount_minor"),
        ("a,１２,JPY,,\n".encode(), "amount_minor"),  # noqa: RUF001 - full-width digits are the point
        (b"a,5,jpy,,\n", "currency"),
        (b"a,5,EUR,,\n", "currency"),
        (b"a,5,JPY,,NO PLACE\n", "endpoint"),
        (b"a\xff,5,JPY,,\n", "order_id is not UTF-8"),
        (b'"a,5,JPY,,\n', "not CSV"),
        (b"a\x00b,5,JPY,,\n", "order id"),
        (b"x" * 300 + b",5,JPY,,\n", "255"),
    ],
)
def test_a_bad_line_of_csv_is_named_and_the_next_is_read(line: bytes, problem: str) -> None:
    bad, good = read(HEADING + line + b"good,5,JPY,,\n")
    assert isinstance(bad, BadLine)
    assert bad.number == 2
    assert problem in bad.problem
    assert isinstance(good, Line)
    assert (good.number, good.order.order_id) == (3, "good")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"nope", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"amount_minor":5,"currency":"JPY"}', "order_id is missing"),
        (b'{"order_id":7,"amount_minor":5,"currency":"JPY"}', "order_id must be text"),
        (b'{"order_id":"a","amount_minor":"5","currency":"JPY"}', "amount_minor"),
        (b'{"order_id":"a","amount_minor":true,"currency":"JPY"}', "amount_minor"),
        (b'{"order_id":"a","amount_minor":5.0,"currency":"JPY"}', "amount_minor"),
        (b'{"order_id":"a","amount_minor":5,"currency":"JPY","challange_hash":"x"}', "unknown field 'challange_hash'"),
        (b'{"order_id":"a\\u0000","amount_minor":5,"currency":"JPY"}', "order id"),
        (b'{"order_id":"a\\ud800","amount_minor":5,"currency":"JPY"}', "not JSON"),
    ],
)
def test_a_bad_line_of_json_is_named(line: bytes, problem: str) -> None:
    assert problem in problem_of(line + b"\n", FileFormat.JSONL)


@pytest.mark.parametrize("delimiter", [b",", b";", b"\t"])
def test_what_spreadsheets_write_is_read(delimiter: bytes) -> None:
    rows = [
        (b"order_id", b"currency", b"amount_minor"),
        (b"a", b"JPY", b" 1200 "),
        (b"", b"", b""),
        (b"b", b"USD", b"5"),
    ]
    text = b"\xef\xbb\xbf" + b"".join(delimiter.join(row) + b"\r\n" for row in rows)
    found = [
        (line.number, line.order.order_id, line.order.amount_minor) for line in read(text) if isinstance(line, Line)
    ]
    assert found == [(2, "a", 1200), (4, "b", 5)]


@pytest.mark.parametrize("heading", [b"", b"a,b\n", b"order_id,amount_minor,currency,extra\n", b"order_id,order_id\n"])
def test_a_file_without_the_right_heading_is_refused(heading: bytes) -> None:
    with pytest.raises(UnreadableOrders):
        read(heading)


def test_a_file_can_be_read_twice() -> None:
    read_orders = reader(FileFormat.CSV, endpoint="siglume")
    file = io.BytesIO(HEADING + b"a,5,JPY,,\n")
    first = list(read_orders(file))
    file.seek(0)
    assert list(read_orders(file)) == first


def test_an_order_that_names_no_endpoint_gets_the_default() -> None:
    one, other = read(HEADING + b"a,5,JPY,,\nb,5,JPY,h,kiosk\n")
    assert isinstance(one, Line)
    assert isinstance(other, Line)
    assert (one.order.endpoint, one.order.challenge_hash) == ("siglume", None)
    assert (other.order.endpoint, other.order.challenge_hash) == ("kiosk", "h")


@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_read_or_named(text: bytes) -> None:
    for form, heading in ((FileFormat.CSV, HEADING), (FileFormat.JSONL, b"")):
        assert all(isinstance(line, Line | BadLine) for line in read(heading + text, form))


@given(st.lists(st.integers(1, 2**53 - 1), max_size=30))
def test_both_forms_say_the_same(amounts: list[int]) -> None:
    rows = [{"order_id": f"o{n}", "amount_minor": amount, "currency": "USD"} for n, amount in enumerate(amounts)]
    as_json = "\n".join(map(json.dumps, rows)).encode()
    as_csv = HEADING + "".join(f"{row['order_id']},{row['amount_minor']},USD,,\n" for row in rows).encode()
    orders = [line.order for line in read(as_json, FileFormat.JSONL) if isinstance(line, Line)]
    assert orders == [line.order for line in read(as_csv) if isinstance(line, Line)]
    assert [order.amount_minor for order in orders] == amounts
