"""What names one receipt."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ingress.webhooks.receipts import receipt_id

RANDOM = Random()  # noqa: S311 - for receipt ids, which guard nothing
TIMES = st.floats(min_value=0, max_value=2**48 / 1000 - 1)


@given(TIMES)
def test_a_receipt_id_is_a_version_7_uuid_of_its_millisecond(now: float) -> None:
    made = receipt_id(now=now, random=RANDOM)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(now * 1000)


@given(TIMES, TIMES)
def test_receipt_ids_sort_by_time(one: float, other: float) -> None:
    earlier, later = sorted((one, other))
    if int(earlier * 1000) < int(later * 1000):
        assert receipt_id(now=earlier, random=RANDOM) < receipt_id(now=later, random=RANDOM)


def test_receipts_of_one_instant_differ() -> None:
    assert len({receipt_id(now=1.0, random=RANDOM) for _ in range(10_000)}) == 10_000
