"""Whatever comes in, a clear 4xx or an accepted message goes out: never a 5xx, never a hang."""

import asyncio
import gzip
import json
from collections.abc import Mapping

import pytest

from shared.broker.topology import CONFIRMATIONS_QUEUE, DEAD_LETTERS_QUEUE
from tests.integration.ingress.conftest import Ingress
from tests.integration.ingress.wire import (
    CLOSED,
    HEADER,
    ask,
    chunked,
    drain,
    event,
    head,
    post,
    read_response,
    signature,
    status_of,
)

LONG = "x" * 10_000
EVENT = event().decode()
CHUNKED = ("Transfer-Encoding", "chunked")

MALFORMED = {
    "not_json": {
        "nothing": b"",
        "blank": b"   ",
        "cut short": event()[:-1],
        "two documents": event() + event(),
        "byte order mark": b"\xef\xbb\xbf" + event(),
        "utf-16": EVENT.encode("utf-16"),
        "lone surrogate in id": EVENT.replace("evt_1", "\\ud800").encode(),
        "lone surrogate in data": EVENT.replace("external_402", "\\udfff").encode(),
        "raw NUL": event() + b"\0",
        "raw NUL in id": EVENT.replace("evt_1", "evt\0").encode(),
        "invalid utf-8": EVENT.encode().replace(b"evt_1", b"\xff\xfe"),
        "NaN": EVENT.replace('"external_402"', "NaN").encode(),
        "100,000 deep lists": b"[" * 100_000,
        "100,000 deep lists, closed": b"[" * 100_000 + b"]" * 100_000,
        "deep data": EVENT.replace('"external_402"', "[" * 50_000 + "]" * 50_000).encode(),
        "gzip without saying so": gzip.compress(event()),
    },
    "not_an_object": {"list": b"[]", "number": b"1", "text": b'"x"', "null": b"null", "true": b"true"},
    "missing_id": {"no id": b"{}", "null id": event(None)},
    "id_not_text": {"number": event(1), "2^70": event(2**70), "true": event(True), "[1]": event([1]), "map": event({})},
    "blank_id": {"empty": event(""), "blank": event(" \t ")},
    "id_too_long": {"10 kB": event(LONG)},
    "nul_in_id": {"escaped": event("evt\0one")},
    "type_not_text": {"list": event(type=["direct_payment.confirmed"]), "number": event(type=7)},
    "type_too_long": {"10 kB": event(type=LONG)},
    "nul_in_type": {"escaped": event(type="a\0b")},
    "api_version_not_text": {"number": event(api_version=20260101)},
    "occurred_at_not_text": {"number": event(occurred_at=1.5)},
    "missing_data": {"null": event(data=None)},
    "data_not_an_object": {"list": event(data=[]), "text": event(data="x"), "number": event(data=2**70)},
}  # fmt: skip
"""Bodies by the reason that their dead letter gives."""

ACCEPTED = {
    "unknown fields": event(extra={"a": [1]}, more=None),
    "NUL in data": event(data={"mode": "a\0b"}),
    "10 kB in data": event(data={"requirement_id": LONG}),
    "2^70 in data": event(data={"amount_minor": 2**70}),
    "lists where text is due": event(data={"mode": ["external_402"], "status": {}}),
    "bool as amount": event(data={"amount_minor": True}),
    "duplicate keys": EVENT.replace('"id"', '"id": "evt_0", "id"').encode(),
    "id of 255": event("é" * 255),
    "deep but readable": EVENT.replace('"external_402"', "[" * 500 + "]" * 500).encode(),
    "key of NUL": EVENT.replace('"mode"', '"\\u0000"').encode(),
    "paired surrogates": EVENT.replace("external_402", "\\ud83d\\ude00").encode(),
    "almost the cap": event(data={"pad": "x" * 250_000}),
}


async def test_signed_bytes_that_are_no_event_become_dead_letters_with_their_reason(ingress: Ingress) -> None:
    cases = {(f"malformed:{reason}", name): raw for reason, bodies in MALFORMED.items() for name, raw in bodies.items()}

    statuses = {case: await status_of(ingress.port, post(raw)) for case, raw in cases.items()}

    assert statuses == dict.fromkeys(cases, 204)
    letters = await drain(ingress.amqp_url, DEAD_LETTERS_QUEUE)
    told = {
        case: (letter.failure and letter.failure.reason, letter.raw)
        for case, letter in zip(cases, letters, strict=True)
    }
    assert told == {(reason, name): (reason, raw) for (reason, name), raw in cases.items()}
    assert {letter.failure.error for letter in letters if letter.failure} == {"MalformedEvent"}
    assert await drain(ingress.amqp_url, CONFIRMATIONS_QUEUE) == []


async def test_strange_but_well_formed_events_are_accepted_byte_for_byte(ingress: Ingress) -> None:
    statuses = {name: await status_of(ingress.port, post(raw)) for name, raw in ACCEPTED.items()}

    assert statuses == dict.fromkeys(ACCEPTED, 204)
    assert [envelope.raw for envelope in await drain(ingress.amqp_url, CONFIRMATIONS_QUEUE)] == list(ACCEPTED.values())


async def test_the_same_bodies_unsigned_teach_a_stranger_nothing(ingress: Ingress) -> None:
    bodies = [*ACCEPTED.values(), *(raw for group in MALFORMED.values() for raw in group.values())]
    answers = [await ask(ingress.port, post(raw, signed=False)) for raw in bodies]
    assert (
        {(answer.status, answer.body) for answer in answers if answer} == {(401, answers[0].body)} if answers[0] else 0
    )
    assert None not in answers


def requests_that_break_http() -> Mapping[str, tuple[bytes, set[int | str]]]:
    raw = event()
    signed = (HEADER, signature(raw))
    host = ("Host", "ingress")
    return {
        "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", {400}),
        "no version": (b"POST /webhooks/siglume\r\n\r\n", {400, 401}),
        "HTTP/3.9": (post(raw).replace(b"HTTP/1.1", b"HTTP/3.9"), {400}),
        "HTTP/1.0": (post(raw).replace(b"HTTP/1.1", b"HTTP/1.0"), {204}),
        "method of nonsense": (post(raw, method="P\x00ST"), {400}),
        "unknown method": (post(raw, method="BREW"), {400, 405}),
        "CONNECT": (head("CONNECT", "ingress:443", [host]), {400, 404, 405}),
        "absolute target": (post(raw, path="http://ingress/webhooks/siglume"), {400, 404}),
        "target of NUL": (post(raw, path="/webhooks/\x00"), {400, 404}),
        "target not utf-8": (post(raw, path="/webhooks/\xff\xfe"), {400, 404}),
        "bad absolute target": (post(raw, path="http://[::1/x"), {400, 404}),
        "header without colon": (head("POST", "/webhooks/siglume", [host]).replace(b"Host: ", b"Host "), {400}),
        "header with NUL": (post(raw, ("X-A", "a\x00b")), {400}),
        "header with bare CR": (post(raw, ("X-A", "a\rb")), {400}),
        "folded header": (post(raw, ("X-A", "a\r\n b")), {400}),
        "space before colon": (post(raw, ("X-A ", "a")), {400}),
        "header line of 100 kB": (post(raw, ("X-A", "a" * 100_000)), {431}),
        "header name of 100 kB": (post(raw, ("X" * 100_000, "a")), {431}),
        "target of 100 kB": (post(raw, path="/" + "a" * 100_000), {431}),
        "1,000 headers": (post(raw, *[(f"X-{number}", "a") for number in range(1000)]), {400, 431}),
        "CL and TE": (post(b"", CHUNKED, ("Content-Length", "5"), signed, signed=False) + chunked(raw), {400}),
        "TE and CL": (post(b"", ("Content-Length", str(len(raw))), CHUNKED, signed, signed=False) + raw, {400}),
        "two lengths": (post(raw, ("Content-Length", str(len(raw))), ("Content-Length", "5")), {400}),
        "negative length": (post(raw, ("Content-Length", "-1")), {400}),
        "length with plus": (post(raw, ("Content-Length", f"+{len(raw)}")), {400}),
        "length of text": (post(raw, ("Content-Length", "ten")), {400}),
        "length of 2^70": (post(raw, ("Content-Length", str(2**70))), {400, 413}),
        "length too short": (post(raw, length=len(raw) - 1), {400, 401}),
        "unknown TE": (post(raw, ("Transfer-Encoding", "gzip"), signed, signed=False), {400}),
        "chunked twice": (post(raw, ("Transfer-Encoding", "chunked, chunked"), signed, signed=False), {400}),
        "chunk size of text": (post(b"", CHUNKED, signed, signed=False) + b"zz\r\nabc\r\n0\r\n\r\n", {400}),
        "chunk size of 2^70": (post(b"", CHUNKED, signed, signed=False) + b"4000000000000000000\r\nabc", {400}),
        "chunk longer than said": (post(b"", CHUNKED, signed, signed=False) + b"2\r\nabcdef\r\n0\r\n\r\n", {400}),
        "gzip, said": (post(gzip.compress(raw), ("Content-Encoding", "gzip")), {415}),
        "gzip bomb, said": (post(gzip.compress(b"0" * 10**7), ("Content-Encoding", "gzip")), {415}),
        "websocket": (post(raw, ("Upgrade", "websocket"), ("Connection", "upgrade")), {204}),
        "h2c": (post(raw, ("Upgrade", "h2c"), ("Connection", "upgrade, HTTP2-Settings")), {204}),
        "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 404, 405}),
        "no host": (post(raw).replace(b"Host: ingress\r\n", b""), {204, 400}),
    }  # fmt: skip


async def test_broken_http_gets_a_clear_refusal_at_once(ingress: Ingress) -> None:
    cases = requests_that_break_http()
    statuses = {name: await status_of(ingress.port, data) for name, (data, _) in cases.items()}
    assert {name: status for name, status in statuses.items() if status not in cases[name][1]} == {}
    assert await status_of(ingress.port, post(event())) == 204


async def test_a_refusal_quotes_nothing_of_the_request(ingress: Ingress) -> None:
    for data, _ in requests_that_break_http().values():
        answer = await ask(ingress.port, data.replace(b"X-A: a", b"X-A: marker-7c1"))
        if answer is not None and answer.status != 204:
            assert answer.problem.keys() == {"type", "title", "status", "detail"}
            assert b"marker-7c1" not in answer.body


async def test_what_follows_a_smuggled_length_is_never_taken_for_a_webhook(ingress: Ingress) -> None:
    inner = post(event("evt_smuggled"))
    outer = post(b"", CHUNKED, ("Content-Length", "6"), signed=False) + b"0\r\n\r\n" + inner
    reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
    writer.write(outer)
    answer = await asyncio.wait_for(read_response(reader), 5)
    assert answer is not None
    assert answer.status == 400
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert await drain(ingress.amqp_url, CONFIRMATIONS_QUEUE) == []


@pytest.mark.parametrize("sent", [0, 1, 50])
async def test_a_body_shorter_than_said_is_408(hasty_ingress: Ingress, sent: int) -> None:
    raw = event()
    answer = await ask(hasty_ingress.port, post(raw[:sent], (HEADER, signature(raw)), signed=False, length=len(raw)))
    assert answer is not None
    assert answer.status == 408
    assert answer.headers["connection"] == "close"


async def test_a_sender_that_hangs_up_within_its_body_is_let_go(hasty_ingress: Ingress) -> None:
    raw = event()
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", hasty_ingress.port)
        writer.write(post(raw[:10], (HEADER, signature(raw)), signed=False, length=len(raw)))
        await writer.drain()
        writer.transport.abort()
    assert await status_of(hasty_ingress.port, post(raw)) == 204
    assert len(await drain(hasty_ingress.amqp_url, CONFIRMATIONS_QUEUE)) == 1


async def test_200_slow_bodies_at_once_are_408_and_hold_up_nobody(hasty_ingress: Ingress) -> None:
    raw = event()
    start = post(raw[:20], (HEADER, signature(raw)), signed=False, length=len(raw))

    async def drip() -> int | str:
        reader, writer = await asyncio.open_connection("127.0.0.1", hasty_ingress.port)
        writer.write(start)
        answer = asyncio.create_task(read_response(reader))
        for byte in raw[20:]:
            done, _ = await asyncio.wait({answer}, timeout=0.2)
            if done:
                break
            writer.write(bytes([byte]))
        writer.close()
        response = await answer
        return response.status if response else CLOSED

    slow = [asyncio.create_task(drip()) for _ in range(200)]
    await asyncio.sleep(0.3)
    quick = [await status_of(hasty_ingress.port, post(event()), within=2.0) for _ in range(20)]

    assert quick == [204] * 20
    assert set(await asyncio.wait_for(asyncio.gather(*slow), 10)) == {408}


async def test_headers_that_never_end_are_408(hasty_ingress: Ingress) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty_ingress.port)
    answer = asyncio.create_task(read_response(reader))
    writer.write(b"POST /webhooks/siglume HTTP/1.1\r\n")
    for number in range(30):
        done, _ = await asyncio.wait({answer}, timeout=0.1)
        if done:
            break
        writer.write(b"X-%d: a\r\n" % number)
    response = await asyncio.wait_for(answer, 1)
    writer.close()
    assert response is not None
    assert response.status == 408


@pytest.mark.parametrize("said", [b"", b"\r\n"])
async def test_a_connection_that_asks_nothing_is_closed(hasty_ingress: Ingress, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty_ingress.port)
    writer.write(said)
    await asyncio.wait_for(reader.read(), 3)
    writer.close()


async def test_slow_headers_behind_a_whole_request_are_ended_too(hasty_ingress: Ingress) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty_ingress.port)
    writer.write(post(event()) + b"POST /webhooks/sig")
    first = await asyncio.wait_for(read_response(reader), 5)
    writer.write(b"l")
    rest = await asyncio.wait_for(reader.read(), 4)
    writer.close()
    assert first is not None
    assert first.status == 204
    assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_reads_no_answers_is_cut_off(hasty_ingress: Ingress) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", hasty_ingress.port, limit=1)
    writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def ask_without_end() -> None:
        while True:
            writer.write(post(b"", signed=False) * 200)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(ask_without_end(), 20)
    assert await status_of(hasty_ingress.port, post(event())) == 204


async def test_a_problem_document_is_json_that_names_no_secret(ingress: Ingress) -> None:
    answer = await ask(ingress.port, post(event(), signed=False))
    assert answer is not None
    assert "whsec" not in json.dumps(answer.problem)
