"""A CSV export is read as it comes, cut anywhere, and refused where it is not what it should be."""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sdrp.api.errors import TruncatedCsv, UnusableAnswer
from shared.sdrp.api.usage import ProviderUsageEvent
from shared.sdrp.api.usage_csv import COLUMNS, MAX_LINE, UsageCsv
from tests.platform_answers import usage_event

OLDER = tuple(name for name in COLUMNS if not name.startswith(("provider_gross", "provider_usage")))
"""As SDK 0.4.6 documents them."""


def written(events: Iterable[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(events)
    return text.getvalue().encode()


def read(body: bytes, *, pieces: int = 1 << 16) -> list[ProviderUsageEvent]:
    export = UsageCsv("msb_1")
    events = [e for start in range(0, len(body), pieces) for e in export.feed(body[start : start + pieces])]
    export.finish()
    return events


def events(number: int) -> list[dict[str, Any]]:
    return [usage_event(n, operation_key=f'say "{n}",\r\n注文') for n in range(number)]


@pytest.mark.parametrize("columns", [COLUMNS, OLDER, tuple(reversed(COLUMNS)), (*COLUMNS, "brand_new")])
def test_columns_go_by_their_names(columns: Sequence[str]) -> None:
    found = read(written(events(3), columns))
    assert [event.metered_usage_id for event in found] == ["mu_00000000", "mu_00000001", "mu_00000002"]
    assert found[1].operation_key == 'say "1",\r\n注文'
    assert (found[1].provider_gross_amount_minor, found[1].provider_receivable_minor) == (Decimal(200), Decimal(198))
    assert found[1].expected_scheduled_debit_at is None


@given(pieces=st.integers(1, 700), number=st.integers(0, 6))
def test_it_may_be_cut_anywhere_on_its_way(pieces: int, number: int) -> None:
    body = b"\xef\xbb\xbf" + written(events(number))
    assert read(body, pieces=pieces) == read(body)
    assert len(read(body)) == number


def test_an_export_that_ends_too_early_is_an_error_wherever_it_ends() -> None:
    body = written(events(2))
    whole = {written([]), written(events(1)), body}
    for end in range(len(body)):
        if body[:end] not in whole:
            with pytest.raises((TruncatedCsv, UnusableAnswer)):
                read(body[:end])


def test_a_cut_inside_the_last_value_is_noticed_by_the_missing_end_of_the_line() -> None:
    with pytest.raises(TruncatedCsv, match="ends too early, after 0 rows"):
        read(written([usage_event(1)]).rstrip(b"\r\n")[:-3])


def test_rows_before_the_fault_are_given() -> None:
    given = UsageCsv("msb_1").feed(written([usage_event(1), usage_event(2), usage_event(3, protocol_fee_minor="x")]))
    assert [next(given).metered_usage_id, next(given).metered_usage_id] == ["mu_00000001", "mu_00000002"]
    with pytest.raises(UnusableAnswer, match=r"row 3 of the CSV export of batch msb_1\.protocol_fee_minor"):
        next(given)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<!doctype html>\n", "no column"),
        (b'{"data": {}}\n', "no column"),
        (written([], [c for c in COLUMNS if c != "status"]), "no column status"),
        (written([], [c for c in OLDER if c != "gross_buyer_debit_minor"]), "no column provider_gross_amount_minor"),
        (written([], [*COLUMNS, "status"]), "names a column twice"),
        (written([]) + b"a,b\r\n", "has 2 fields, not 21"),
        (written([]) + b'"a"b,\r\n', "is no CSV"),
        (written([]) + b"\xff\xfe\r\n", "is not UTF-8"),
        (written([usage_event(1, settlement_batch_id="msb_2")]), "is of another batch"),
        (written([usage_event(1, settlement_batch_id="")]), "is of another batch"),
        (written([usage_event(1, buyer_period_ref="x" * 300)]), "longer than 255"),
        (written([]) + b"x" * (MAX_LINE + 1), "longer than 65536"),
        (written([]) + b'"' + b"x\n" * MAX_LINE, "longer than 65536"),
    ],
)
def test_what_is_no_export_of_this_batch_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(UnusableAnswer, match=problem):
        read(body)


def test_nothing_at_all_is_no_export() -> None:
    with pytest.raises(TruncatedCsv):
        read(b"")
