"""Speaks HTTP byte by byte, as no well-behaved client would."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiormq

from shared.broker.envelope import Envelope, decode
from shared.sdrp.signature import SigningSecret, sign

SECRET = "whsec_door_tests_5f1c"
HEADER = "Siglume-Signature"
CLOSED = "closed without an answer"


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, object]:
        assert self.headers["content-type"] == "application/problem+json"
        problem: dict[str, object] = json.loads(self.body)
        return problem


def event(event_id: object = "evt_1", **changes: object) -> bytes:
    body: dict[str, object] = {
        "id": event_id,
        "type": "direct_payment.confirmed",
        "api_version": "2026-01-01",
        "occurred_at": "2026-11-20T00:00:00Z",
        "data": {"mode": "external_402"},
    }
    return json.dumps(body | changes).encode()


def signature(raw: bytes, *, secret: str = SECRET, at: float | None = None) -> str:
    return sign(raw, secret=SigningSecret.from_text(secret), timestamp=int(time.time() if at is None else at))


def post(
    raw: bytes,
    *headers: tuple[str, str],
    path: str = "/webhooks/siglume",
    method: str = "POST",
    signed: bool = True,
    length: int | None = None,
) -> bytes:
    """A whole request. `length` lies about the body."""
    fields = [("Host", "ingress"), *([(HEADER, signature(raw))] if signed else []), *headers]
    if not any(name.lower() in {"transfer-encoding", "content-length"} for name, _ in headers):
        fields.append(("Content-Length", str(len(raw) if length is None else length)))
    return head(method, path, fields) + raw


def head(method: str, path: str, fields: Sequence[tuple[str, str]]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def chunked(raw: bytes, size: int = 1000) -> bytes:
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def read_response(reader: asyncio.StreamReader) -> Response | None:
    """The next response, None at the end of the connection."""
    try:
        top = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    status, *lines = top.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Response(int(status.split()[1]), headers, body)


async def ask(port: int, data: bytes, *, within: float = 5.0) -> Response | None:
    """The first response to `data`, or None when the ingress closes without one. Fails when neither comes in time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(within):
            writer.write(data)
            return await read_response(reader)
    finally:
        writer.close()


async def status_of(port: int, data: bytes, *, within: float = 5.0) -> int | str:
    response = await ask(port, data, within=within)
    return CLOSED if response is None else response.status


async def drain(amqp_url: str, queue: str) -> list[Envelope]:
    """Everything in the queue, in order; it is empty afterwards."""
    connection = await aiormq.connect(amqp_url)
    try:
        channel = await connection.channel()
        envelopes: list[Envelope] = []
        while True:
            message = await channel.basic_get(queue, no_ack=True)
            if message.body == b"" and message.delivery_tag is None:
                return envelopes
            envelopes.append(decode(message.body))
    finally:
        await connection.close()
