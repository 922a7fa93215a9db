"""Our own packing and reading of frames agrees with pamqp's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from shared.broker import frames

PREFIX = b"0123456789abcdef01234567"
names = st.text(st.characters(codec="utf-8"), max_size=60)
header_names = st.text(st.characters(codec="utf-8"), max_size=32)  # AMQP allows 128 bytes; pamqp cuts the rest off
exchanges = st.from_regex(r"[a-zA-Z0-9-_.:]{0,60}", fullmatch=True)
tags = st.integers(0, 2**63 - 1)
"""pamqp reads a delivery tag as a signed number, as far as any broker ever counts."""


def form(*, exchange: str, routing_key: str, kind: str | None, mandatory: bool, frame_max: int) -> frames.PublishForm:
    return frames.PublishForm.pack(
        channel=1,
        frame_max=frame_max,
        id_prefix=PREFIX,
        exchange=exchange,
        routing_key=routing_key,
        message_type=kind,
        mandatory=mandatory,
    )


def unpacked(data: bytes) -> list[frame.FrameTypes]:
    found = []
    while data:
        used, channel, one = frame.unmarshal(data)
        assert channel == 1
        found.append(one)
        data = data[used:]
    return found


@given(names, names, st.none() | names, st.booleans(), st.integers(1, frames.MAX_TAG), st.binary(max_size=400))
def test_a_publish_reads_as_the_same_publish(
    exchange: str, routing_key: str, kind: str | None, mandatory: bool, tag: int, body: bytes
) -> None:
    packed = form(exchange=exchange, routing_key=routing_key, kind=kind, mandatory=mandatory, frame_max=100)
    method, header, *bodies = unpacked(b"".join(packed.parts(tag, body)))
    assert isinstance(method, commands.Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory) == (exchange, routing_key, mandatory)
    assert isinstance(header, ContentHeader)
    assert header.body_size == len(body)
    properties = header.properties
    assert (properties.delivery_mode, properties.message_type) == (2, kind)
    assert properties.message_id == f"{PREFIX.decode()}{tag:012x}"
    assert all(isinstance(one, ContentBody) and len(one.value) <= 92 for one in bodies)
    assert b"".join(one.value for one in bodies if isinstance(one, ContentBody)) == body


@given(st.integers(1, frames.MAX_TAG))
def test_a_message_id_leads_back_to_its_delivery_tag(tag: int) -> None:
    header = ContentHeader(properties=commands.Basic.Properties(message_id=f"{PREFIX.decode()}{tag:012x}"))
    data = header.marshal()
    message_id = frames.read_message_id(data, 0, len(data))
    assert frames.tag_of_message_id(message_id, id_prefix=PREFIX) == tag


@pytest.mark.parametrize("foreign", [b"", PREFIX, PREFIX + b"zzzzzzzzzzzz", b"x" * 36])
def test_another_message_id_leads_nowhere(foreign: bytes) -> None:
    assert frames.tag_of_message_id(foreign, id_prefix=PREFIX) is None


@given(tags, st.booleans())
def test_an_acknowledgement_reads_the_same_both_ways(tag: int, multiple: bool) -> None:
    data = frames.ack(1, tag, multiple=multiple)
    (read,) = unpacked(data)
    assert isinstance(read, commands.Basic.Ack)
    assert (read.delivery_tag, read.multiple) == (tag, multiple)
    assert frames.read_tag_and_bits(data, frames.PAYLOAD_AT + 4) == (tag, multiple)


@given(st.text(st.characters(codec="ascii"), max_size=80), tags, st.booleans(), exchanges, names)
def test_a_delivery_is_read(consumer: str, tag: int, redelivered: bool, exchange: str, routing_key: str) -> None:
    method = commands.Basic.Deliver(consumer, tag, redelivered, exchange, routing_key)
    data = frame.marshal(method, 1)
    assert frames.read_deliver(data, frames.PAYLOAD_AT + 4) == (tag, redelivered)


@given(
    st.integers(0, 2**64 - 1), st.none() | st.dictionaries(header_names, st.integers(0, 100), min_size=1, max_size=3)
)
def test_the_size_and_headers_of_a_content_are_read(size: int, headers: dict[str, int] | None) -> None:
    properties = commands.Basic.Properties(headers=headers, delivery_mode=2, message_id="m")  # type: ignore[arg-type]
    data = ContentHeader(body_size=size, properties=properties).marshal()
    assert frames.read_content(data, 0, len(data)) == (size, headers or {})


def test_a_name_that_does_not_fit_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="at most 255 bytes"):
        form(exchange="x", routing_key="é" * 128, kind=None, mandatory=True, frame_max=4096)
