"""What is put into an envelope comes out of it, byte for byte."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.broker.envelope import MAX_COUNT, Envelope, Failure, ReplayMark, UnreadableEnvelope, decode, encode

# orjson writes valid UTF-8 only; the door refuses what is not before it makes an envelope.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
moments = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - Hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-23 * 60, 23 * 60)),
)
envelopes = st.builds(
    Envelope,
    receipt_id=st.uuids(),
    endpoint=text,
    received_at=moments,
    signature=text,
    key_fingerprint=text,
    raw=st.binary(max_size=2000),
    event_id=st.none() | text,
    type=st.none() | text,
    traceparent=st.none() | text,
    attempts=st.integers(0, MAX_COUNT),
    failure=st.none() | st.builds(Failure, reason=text, error=text, detail=text),
    replay=st.none() | st.builds(ReplayMark, st.integers(0, MAX_COUNT), st.integers(0, MAX_COUNT), st.booleans()),
)


def an_envelope(raw: bytes) -> Envelope:
    return Envelope(
        receipt_id=UUID(int=7),
        endpoint="siglume",
        received_at=datetime(2026, 11, 20, tzinfo=UTC),
        signature="t=1,v1=ab",
        key_fingerprint="k1",
        raw=raw,
    )


@given(envelopes)
def test_every_envelope_survives_the_round_trip(envelope: Envelope) -> None:
    assert decode(encode(envelope)) == envelope


@given(st.binary(max_size=500))
def test_the_signed_bytes_stand_untouched_behind_the_first_line(raw: bytes) -> None:
    line, _, rest = encode(an_envelope(raw)).partition(b"\n")
    assert rest == raw
    assert orjson.loads(line)["v"] == 1


@given(st.binary(max_size=500))
def test_arbitrary_bytes_are_unreadable_and_nothing_worse(body: bytes) -> None:
    with pytest.raises(UnreadableEnvelope):
        decode(body)


@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5), st.lists, max_leaves=5))
def test_a_head_of_any_other_shape_is_unreadable(head: object) -> None:
    with pytest.raises(UnreadableEnvelope):
        decode(orjson.dumps(head) + b"\n{}")


@pytest.mark.parametrize("field", ["receipt_id", "endpoint", "received_at", "signature", "key", "event_id", "type"])
@pytest.mark.parametrize("value", [7, [], {}, True])
def test_a_head_with_a_field_of_the_wrong_type_is_unreadable(field: str, value: object) -> None:
    head = orjson.loads(encode(an_envelope(b"")).partition(b"\n")[0]) | {field: value}
    with pytest.raises(UnreadableEnvelope):
        decode(orjson.dumps(head) + b"\n")


@pytest.mark.parametrize("attempts", ["1", -1, 1.5, True, None, 2**31, 2**64 - 1])
def test_a_head_with_impossible_attempts_is_unreadable(attempts: object) -> None:
    head = orjson.loads(encode(an_envelope(b"")).partition(b"\n")[0]) | {"attempts": attempts}
    with pytest.raises(UnreadableEnvelope):
        decode(orjson.dumps(head) + b"\n")


def test_a_later_version_is_unreadable_rather_than_misread() -> None:
    head = orjson.loads(encode(an_envelope(b"")).partition(b"\n")[0]) | {"v": 2}
    with pytest.raises(UnreadableEnvelope):
        decode(orjson.dumps(head) + b"\n")


def test_a_body_without_the_first_line_is_unreadable() -> None:
    head, _, _ = encode(an_envelope(b"")).partition(b"\n")
    with pytest.raises(UnreadableEnvelope):
        decode(head)
