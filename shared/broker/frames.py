"""How AMQP 0-9-1 frames look on the wire: the few that every message costs, packed and read without objects.

Connection set-up, channels, declarations and anything rare are left to aiormq. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any, NamedTuple

from pamqp.commands import Basic
from pamqp.header import ContentHeader

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_KINDS = frozenset((METHOD, HEADER, BODY, HEARTBEAT))
FRAME_END = b"\xce"
FRAME_OVERHEAD = 8
"""Bytes of a frame beside its payload: kind, channel, size, end mark."""
PAYLOAD_AT = 7
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

FRAME_HEAD = Struct(">BHI")
METHOD_INDEX = Struct(">I")
_U64 = Struct(">Q")
_CONTENT = Struct(">HHQH")
_TAG_AND_BITS = Struct(">QB")
_ACK = Struct(">BHIIQBB")


def _index(class_id: int, method_id: int) -> int:
    return class_id << 16 | method_id


CONNECTION_CLOSE = _index(10, 50)
CONNECTION_BLOCKED = _index(10, 60)
CONNECTION_UNBLOCKED = _index(10, 61)
CHANNEL_CLOSE = _index(20, 40)
BASIC_CANCEL = _index(60, 30)
BASIC_PUBLISH = _index(60, 40)
BASIC_RETURN = _index(60, 50)
BASIC_DELIVER = _index(60, 60)
BASIC_ACK = _index(60, 80)
BASIC_NACK = _index(60, 120)

_HAS_HEADERS, _HAS_DELIVERY_MODE, _HAS_MESSAGE_ID, _HAS_TYPE = 1 << 13, 1 << 12, 1 << 7, 1 << 5
_PERSISTENT = b"\x02"
ID_PREFIX_LENGTH = 24
MAX_TAG = 16**12 - 1
NO_HEADERS: Mapping[str, Any] = {}


def _short(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 255:
        raise ValueError(f"at most 255 bytes fit, got {len(encoded)}: {text[:40]!r}...")
    return bytes((len(encoded),)) + encoded


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return FRAME_HEAD.pack(kind, channel, len(payload)) + payload + FRAME_END


@dataclass(frozen=True, slots=True)
class PublishForm:
    """Everything of a persistent publish that does not change from message to message, packed once."""

    channel: int
    frame_max: int
    before_size: bytes
    before_tag: bytes
    after_tag: bytes

    @classmethod
    def pack(
        cls,
        *,
        channel: int,
        frame_max: int,
        id_prefix: bytes,
        exchange: str,
        routing_key: str,
        message_type: str | None,
        mandatory: bool,
    ) -> "PublishForm":
        """`id_prefix` is 24 ASCII characters; with 12 hex digits of the delivery tag they make the message id."""
        if len(id_prefix) != ID_PREFIX_LENGTH:
            raise ValueError(f"the prefix of message ids is {ID_PREFIX_LENGTH} bytes, got {len(id_prefix)}")
        method = METHOD_INDEX.pack(BASIC_PUBLISH) + b"\0\0" + _short(exchange) + _short(routing_key)
        flags = _HAS_DELIVERY_MODE | _HAS_MESSAGE_ID | (_HAS_TYPE if message_type is not None else 0)
        kind = _short(message_type) if message_type is not None else b""
        properties = len(_PERSISTENT) + 1 + ID_PREFIX_LENGTH + 12 + len(kind)
        return cls(
            channel=channel,
            frame_max=frame_max,
            before_size=_frame(METHOD, channel, method + bytes((mandatory,)))
            + FRAME_HEAD.pack(HEADER, channel, _CONTENT.size + properties)
            + b"\0\x3c\0\0",
            before_tag=flags.to_bytes(2, "big") + _PERSISTENT + bytes((ID_PREFIX_LENGTH + 12,)) + id_prefix,
            after_tag=kind + FRAME_END,
        )

    def parts(self, tag: int, body: bytes) -> tuple[bytes, ...]:
        """The frames of one publish, to be joined: method, content header, body."""
        size = len(body)
        head = (self.before_size, _U64.pack(size), self.before_tag, b"%012x" % tag, self.after_tag)
        if 0 < size <= self.frame_max - FRAME_OVERHEAD:
            return (*head, FRAME_HEAD.pack(BODY, self.channel, size), body, FRAME_END)
        step = self.frame_max - FRAME_OVERHEAD
        return (*head, *(_frame(BODY, self.channel, body[at : at + step]) for at in range(0, size, step)))


def tag_of_message_id(message_id: bytes, *, id_prefix: bytes) -> int | None:
    """The delivery tag that a message id of ours carries; None when it is another's."""
    if len(message_id) != ID_PREFIX_LENGTH + 12 or not message_id.startswith(id_prefix):
        return None
    try:
        return int(message_id[ID_PREFIX_LENGTH:], 16)
    except ValueError:
        return None


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    return _ACK.pack(METHOD, channel, 13, BASIC_ACK, tag, multiple, 0xCE)


def read_tag_and_bits(frames: bytes, at: int) -> tuple[int, int]:
    """Delivery tag and flag bits of a basic.ack or basic.nack whose arguments begin at `at`."""
    tag, bits = _TAG_AND_BITS.unpack_from(frames, at)
    return tag, bits


def _read_short(frames: bytes, at: int) -> tuple[bytes, int]:
    end = at + 1 + frames[at]
    return frames[at + 1 : end], end


class Deliver(NamedTuple):
    tag: int
    redelivered: bool


def read_deliver(frames: bytes, at: int) -> Deliver:
    """Arguments of basic.deliver: the consumer tag is skipped, since one channel has one consumer."""
    at += 1 + frames[at]
    tag, bits = _TAG_AND_BITS.unpack_from(frames, at)
    return Deliver(tag, bits == 1)


def read_close(frames: bytes, at: int) -> tuple[int, str]:
    """Reply code and text of connection.close, channel.close and basic.return, which begin alike."""
    text, _ = _read_short(frames, at + 2)
    return int.from_bytes(frames[at : at + 2], "big"), text.decode(errors="replace")


def read_text(frames: bytes, at: int) -> str:
    return _read_short(frames, at)[0].decode(errors="replace")


class Content(NamedTuple):
    size: int
    """Bytes of the body that follows."""
    headers: Mapping[str, Any]


def read_content(frames: bytes, at: int, end: int) -> Content:
    """Size and headers of a content header frame whose payload is `frames[at:end]`."""
    _, _, size, flags = _CONTENT.unpack_from(frames, at)
    return Content(size, _properties(frames, at, end).headers or NO_HEADERS if flags & _HAS_HEADERS else NO_HEADERS)


def read_message_id(frames: bytes, at: int, end: int) -> bytes:
    return (_properties(frames, at, end).message_id or "").encode()


def _properties(frames: bytes, at: int, end: int) -> Basic.Properties:
    header = ContentHeader()
    header.unmarshal(frames[at:end])
    return header.properties
