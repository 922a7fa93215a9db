"""The pure parts of the metered books: kinds of money, what statements make of a row, periods, levels, days."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.revenue import batches, usage
from shared.ledger.revenue.batches import StatedBatch
from shared.ledger.revenue.clocks import APART, DAY, Moment, dates_of, windows
from shared.ledger.revenue.conditions import FINAL_MONEY, OPEN_MONEY
from shared.ledger.revenue.days import Day, of_days
from shared.ledger.revenue.differences import Waiting
from shared.ledger.revenue.exposed import Exposed
from shared.ledger.revenue.exposure import Exposure, Level
from shared.ledger.revenue.money import FINAL, KNOWN_STATUSES, Money, Sums, adds_up, money_of, plain, total
from shared.ledger.revenue.periods import InvalidPeriod, Period
from shared.ledger.revenue.usage import StatedUsage
from tests.given import ENDPOINT, NOW
from tests.statements import nameless, stated_batch, stated_usage

_amounts = st.decimals(min_value=0, max_value=10**12, places=3)
_sums = st.builds(Sums, st.integers(0, 9), _amounts, _amounts, _amounts)
_statuses = st.one_of(st.sampled_from(sorted(KNOWN_STATUSES)), st.text(min_size=1, max_size=20))


@given(_statuses, st.one_of(st.none(), st.just("chain-1")))
def test_only_settled_with_a_receipt_is_settled(status: str, receipt: str | None) -> None:
    money = money_of(status, receipt)
    assert (money is Money.SETTLED) == (status == "settled" and receipt is not None)
    if status not in ("settled", "past_due", "uncollectible", "written_off"):
        assert money is Money.UNSETTLED


def test_queries_take_the_final_kinds_of_money_from_one_place() -> None:
    assert {kind: f"'{kind}'" in FINAL_MONEY for kind in Money} == {kind: kind in FINAL for kind in Money}
    assert {kind: f"'{kind}'" in OPEN_MONEY for kind in Money} == {kind: kind not in FINAL for kind in Money}
    ledger = Path(__file__).parents[3] / "shared/ledger"
    listed = re.compile(rf"IN {re.escape(FINAL_MONEY)}|IN {re.escape(OPEN_MONEY)}")
    assert [file.name for file in ledger.rglob("*.py") if listed.search(file.read_text())] == []
    indexes = (ledger / "migrations/versions/0001_revenue.sql").read_text()
    assert f"WHERE money IN {OPEN_MONEY}" in indexes, "else Postgres does not use the index of open batches"


@given(st.lists(_sums), st.randoms(use_true_random=False))
def test_sums_are_exact_in_any_order(sums: list[Sums], random: st.DataObject) -> None:
    shuffled = list(sums)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert total(sums) == total(shuffled)
    assert total(sums).gross == sum((each.gross for each in sums), Decimal(0))


@given(st.decimals(min_value=-(10**30), max_value=10**30, places=18))
def test_a_plain_amount_is_the_same_amount(amount: Decimal) -> None:
    text = plain(amount)
    assert Decimal(text) == amount
    assert "E" not in text
    assert not ("." in text and text.endswith("0"))


def test_a_receivable_is_gross_less_fee_and_rounding_is_added_to_nothing() -> None:
    assert adds_up(Decimal("12.3456"), Decimal("0.1"), Decimal("12.2456"))
    assert not adds_up(Decimal(200), Decimal(2), Decimal(200))
    assert adds_up(None, Decimal(2), Decimal(3))


_stories = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["ready", "submitted", "past_due", "settled", "written_off", "someday"]),
        st.sampled_from([None, "chain-a", "chain-b"]),
    ),
    min_size=1,
    max_size=8,
)


def _stated(hour: int, status: str, receipt: str | None) -> StatedBatch:
    batch = stated_batch(status=status, chain_receipt_id=receipt)
    return StatedBatch.of(batch, endpoint=ENDPOINT, stated_at=NOW + timedelta(hours=hour))


@given(_stories)
def test_a_batch_that_is_final_never_goes_back(story: list[tuple[int, str, str | None]]) -> None:
    held: StatedBatch | None = None
    for statement in story:
        before, held = held, batches.after(held, _stated(*statement))
        if before is not None and before.is_final:
            assert held._replace(disputed=before.disputed) == before
        assert batches.after(held, _stated(*statement)) is held or held.is_final
    told = {money_of(status, receipt) for _, status, receipt in story}
    assert held is not None
    assert held.is_final == bool(told & FINAL)


@given(_stories, st.randoms(use_true_random=False))
def test_repeating_the_same_statement_changes_nothing(story: list[tuple[int, str, str | None]], random: object) -> None:
    held: StatedBatch | None = None
    for statement in story:
        held = batches.after(held, _stated(*statement))
        again = batches.after(held, _stated(*statement))
        assert again is held or (again.disputed != held.disputed and held.is_final)


def test_a_row_moves_to_another_batch_until_its_batch_is_final() -> None:
    first = StatedUsage.of(stated_usage(settlement_batch_id="batch-1"), endpoint=ENDPOINT, stated_at=NOW)
    other = first._replace(settlement_batch_id="batch-2", stated_at=NOW + timedelta(1))
    assert usage.after(first, other, lambda _: False).settlement_batch_id == "batch-2"
    kept = usage.after(first, other, lambda id_: id_ == "batch-1")
    assert (kept.settlement_batch_id, kept.disputed) == ("batch-1", '{"settlement_batch_id":"batch-2"}')


def test_a_row_without_a_time_is_dated_by_its_period() -> None:
    row = StatedUsage.of(nameless(created_at=None), endpoint=ENDPOINT, stated_at=NOW)
    assert row.created_at == datetime(2026, 11, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-11", "2026-11-01T00:00+00:00", "2026-12-01T00:00+00:00"),
        ("2026-12", "2026-12-01T00:00+00:00", "2027-01-01T00:00+00:00"),
        ("2024-02", "2024-02-01T00:00+00:00", "2024-03-01T00:00+00:00"),
        ("2026-W47", "2026-11-16T00:00+00:00", "2026-11-23T00:00+00:00"),
        ("2026-W01", "2025-12-29T00:00+00:00", "2026-01-05T00:00+00:00"),
        ("2026", "2026-01-01T00:00+00:00", "2027-01-01T00:00+00:00"),
        (" 2026-11-20 ", "2026-11-20T00:00+00:00", "2026-11-21T00:00+00:00"),
        ("2026-11-01..2026-11-15", "2026-11-01T00:00+00:00", "2026-11-15T00:00+00:00"),
        ("2026-11-01T09:00+09:00..2026-11-02", "2026-11-01T00:00+00:00", "2026-11-02T00:00+00:00"),
    ],
)
def test_a_period_is_what_people_write(text: str, since: str, until: str) -> None:
    period = Period.parse(text)
    assert (period.since, period.until) == (datetime.fromisoformat(since), datetime.fromisoformat(until))


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026-13", "2026-W54", "2026-11-31", "9999", "0000", "..", "2026-11-02..2026-11-01", "now"),
        *("1969-12-31", "0001-01-01..2027-01-01", "1970-01-01T00:00+09:00..2027"),
    ],
)
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(InvalidPeriod, match="write 2026-11"):
        Period.parse(text)


@pytest.mark.parametrize(
    ("gross", "stated", "past_due", "level"),
    [
        ("7999", None, "0", Level.FINE),
        ("8000", None, "0", Level.WARNING),
        ("10", "9000", "0", Level.WARNING),
        ("9999.999", None, "0", Level.WARNING),
        ("10000", None, "0", Level.PAUSED),
        ("10", None, "10", Level.PAUSED),
    ],
)
def test_a_warning_comes_before_the_pause(gross: str, stated: str | None, past_due: str, level: Level) -> None:
    amounts = (Decimal(gross), Decimal(past_due), Decimal(stated) if stated else None, Decimal(10_000))
    exposure = Exposure(ENDPOINT, "bpr-1", "micro", "JPYC", "JPY", *amounts)
    assert exposure.level(Decimal("0.8")) is level


def _owing(buyer: str | None, amount: int, band: str = "micro", past_due: int = 0) -> Exposure:
    return Exposure(ENDPOINT, buyer, band, "JPYC", "JPY", Decimal(amount), Decimal(past_due), None, Decimal(10_000))


def test_a_buyer_counts_once_by_what_is_worst() -> None:
    found = [
        *(_owing("bpr-1", 9000), _owing("bpr-1", 10_000, "nano"), _owing("bpr-2", 8000)),
        *(_owing(None, 9000), _owing(None, 9000, "nano"), _owing("bpr-3", 7999), _owing("bpr-4", 1, past_due=1)),
    ]
    assert Exposed.among(found, Decimal("0.8")) == Exposed(3, 2, ("bpr-1", "bpr-2", "bpr-4"))
    assert Exposed.among([], Decimal("0.8")) == Exposed()


def _day(number: int, stated: int, booked: int, waiting: int = 0) -> Day:
    """So many payments of 200 yen."""
    theirs, ours, waits = (Sums(count, Decimal(200 * count)) for count in (stated, booked, waiting))
    return Day(date(2026, 11, 1) + timedelta(number), "JPY", "micro", theirs, ours, Waiting(waits))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12))
def test_days_that_differ_account_for_all_that_differs(counts: list[tuple[int, int]]) -> None:
    found = of_days(_day(number, *count) for number, count in enumerate(counts))
    left = sum((effect.amount for each in found for effect in each.effects), Decimal(0))
    assert left == sum(200 * (booked - stated) for stated, booked in counts)
    assert not found or any(booked != stated for stated, booked in counts)


def test_a_day_is_explained_by_webhooks_in_review_only_when_they_make_up_for_it() -> None:
    (found,) = of_days([_day(1, stated=2, booked=1, waiting=1)])
    assert found.waiting == Waiting(Sums(1, Decimal(200)))
    (found,) = of_days([_day(1, stated=2, booked=0, waiting=1)])
    assert found.waiting is None
    assert found.effects[0].amount == -400


_YEN = ("JPY", "micro", Decimal(200))


def _rows(*seconds: float) -> list[Moment]:
    return [Moment(NOW + timedelta(seconds=at), _YEN, None) for at in seconds]


def _told(*seconds: float) -> list[Moment]:
    return [Moment(NOW + timedelta(seconds=at), _YEN, f"req-{number}") for number, at in enumerate(seconds)]


_seconds = st.lists(st.integers(-7200, 7200), max_size=12)


@given(_seconds, _seconds)
def test_one_row_dates_one_webhook_that_is_not_far(rows: list[int], told: list[int]) -> None:
    webhooks = {each.told: each.at for each in _told(*told)}
    dates = dates_of([*_rows(*rows), *_told(*told)])
    assert all(abs(at - webhooks[told]) <= APART for told, at in dates.items())
    taken, there = sorted(dates.values()), [each.at for each in _rows(*rows)]
    assert all(taken.count(at) <= there.count(at) for at in taken)
    assert len(dates) < len(told) or len(told) <= len(rows)


@given(st.integers(0, 9), st.sampled_from([-0.5, 0.5]))
def test_one_without_a_partner_takes_nobody_elses(gone: int, late: float) -> None:
    """A payment every ten seconds, and one of them without a row, or without a webhook."""
    every = [10.0 * number for number in range(10)]
    left = [at for number, at in enumerate(every) if number != gone]
    dates = dates_of([*_rows(*left), *_told(*(at + late for at in every))])
    assert sorted(dates.values()) == [each.at for each in _rows(*left)]
    assert f"req-{gone}" not in dates
    dates = dates_of([*_rows(*every), *_told(*(at + late for at in left))])
    assert sorted(dates.values()) == [each.at for each in _rows(*left)]


@given(
    st.datetimes(datetime(2026, 10, 1), datetime(2026, 11, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.timedeltas(timedelta(0), timedelta(days=9)),
    st.timedeltas(timedelta(microseconds=1), APART),
)
def test_the_two_sides_of_a_payment_at_an_edge_lie_in_one_window(
    since: datetime, lasts: timedelta, early: timedelta
) -> None:
    until, found = since + lasts, windows(since, since + lasts)
    midnight = since.replace(hour=0, minute=0, second=0, microsecond=0)
    midnights = [at for day in range(1, 11) if (at := midnight + day * DAY) < until]
    for first in (edge - early for edge in (since, *midnights, until)):
        assert any(each.since <= first and first + APART < each.until for each in found)
    assert all(one.until + APART < following.since for one, following in pairwise(found))
    assert len(found) <= len(midnights) + 2


def test_a_year_is_looked_at_two_hours_a_day() -> None:
    year = Period.parse("2026")
    found = windows(year.since, year.until)
    assert len(found) == 366
    assert {each.until - each.since for each in found} == {2 * APART}


def test_another_amount_or_an_hour_and_more_dates_nothing() -> None:
    (row,) = _rows(0)
    dear = Moment(row.at, ("JPY", "micro", Decimal(201)), "req-1")
    assert dates_of([row, dear, *_told(3601)]) == {}
    assert dates_of([row, dear, *_told(3600)]) == {"req-0": row.at}
