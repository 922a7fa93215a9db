"""Every answer of the ingress, and what of it reaches RabbitMQ."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.broker.topology import CONFIRMATIONS_QUEUE, DEAD_LETTERS_QUEUE
from shared.sdrp.signature import SigningSecret
from tests.integration.ingress.conftest import Ingress, open_ingress
from tests.integration.ingress.wire import (
    HEADER,
    SECRET,
    ask,
    chunked,
    drain,
    event,
    post,
    read_response,
    signature,
    status_of,
)

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_204_means_that_the_untouched_bytes_are_in_the_queue(ingress: Ingress) -> None:
    raw = b' {"id":"evt_7", "type":"direct_payment.spent","api_version":"1","occurred_at":"x","data":{}}\n'
    header = signature(raw)

    response = await ask(ingress.port, post(raw, (HEADER, header), ("traceparent", TRACEPARENT), signed=False))

    assert response is not None
    assert (response.status, response.body) == (204, b"")
    (envelope,) = await drain(ingress.amqp_url, CONFIRMATIONS_QUEUE)
    assert envelope.raw == raw
    assert envelope.signature == header
    assert envelope.endpoint == "siglume"
    assert envelope.key_fingerprint == SigningSecret.from_text(SECRET).fingerprint
    assert (envelope.event_id, envelope.type) == ("evt_7", "direct_payment.spent")
    assert envelope.traceparent == TRACEPARENT
    assert envelope.failure is None
    assert abs(envelope.received_at - datetime.now(UTC)) < timedelta(seconds=10)
    assert envelope.receipt_id.version == 7


@pytest.mark.parametrize(
    "traceparent",
    [
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "junk",
    ],
)
async def test_an_ill_formed_traceparent_is_left_out(ingress: Ingress, traceparent: str) -> None:
    assert await status_of(ingress.port, post(event(), ("traceparent", traceparent))) == 204
    (envelope,) = await drain(ingress.amqp_url, CONFIRMATIONS_QUEUE)
    assert envelope.traceparent is None


async def test_receipts_sort_by_time_and_never_repeat(ingress: Ingress) -> None:
    for _ in range(20):
        assert await status_of(ingress.port, post(event())) == 204
        await asyncio.sleep(0.002)
    ids = [envelope.receipt_id for envelope in await drain(ingress.amqp_url, CONFIRMATIONS_QUEUE)]
    assert len(set(ids)) == 20
    assert ids == sorted(ids)


async def test_every_signature_failure_is_the_same_401_byte_for_byte(ingress: Ingress) -> None:
    raw = event()
    good = signature(raw)
    attempts = {
        "none": post(raw, signed=False),
        "blank": post(raw, (HEADER, " "), signed=False),
        "junk": post(raw, (HEADER, "junk"), signed=False),
        "not ascii": post(raw, (HEADER, good + "\xff"), signed=False),
        "other secret": post(raw, (HEADER, signature(raw, secret="whsec_other")), signed=False),
        "stale": post(raw, (HEADER, signature(raw, at=1_000_000_000)), signed=False),
        "future": post(raw, (HEADER, signature(raw, at=9_000_000_000)), signed=False),
        "other body": post(raw + b" ", (HEADER, good), signed=False),
        "twice": post(raw, (HEADER, good), (HEADER, good), signed=False),
        "twice in two cases": post(raw, (HEADER, good), (HEADER.lower(), good), signed=False),
        "malformed body, unsigned": post(b"{", signed=False),
        "empty body": post(b"", signed=False),
    }

    answers = {name: await ask(ingress.port, attempt) for name, attempt in attempts.items()}

    assert {name: answer and answer.status for name, answer in answers.items()} == dict.fromkeys(attempts, 401)
    seen = {(answer.body, answer.headers["www-authenticate"]) for answer in answers.values() if answer}
    assert len(seen) == 1
    assert await drain(ingress.amqp_url, CONFIRMATIONS_QUEUE) == []
    assert await drain(ingress.amqp_url, DEAD_LETTERS_QUEUE) == []


async def test_problems_have_a_stable_shape(ingress: Ingress) -> None:
    raw = event()
    attempts = {
        (404, "not-found"): post(raw, path="/webhooks/other"),
        (405, "method-not-allowed"): post(b"", method="GET"),
        (415, "encoded"): post(raw, ("Content-Encoding", "gzip")),
        (413, "too-large"): post(b"x" * (256 * 1024 + 1)),
        (401, "unauthenticated"): post(raw, signed=False),
    }
    for (status, slug), attempt in attempts.items():
        answer = await ask(ingress.port, attempt)
        assert answer is not None
        assert answer.status == status
        assert answer.problem.keys() == {"type", "title", "status", "detail"}
        assert (answer.problem["status"], answer.problem["type"]) == (status, f"urn:kessai:problem:{slug}")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_other_methods_are_405_and_say_which_is_allowed(ingress: Ingress, method: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
    writer.write(post(b"", ("Connection", "close"), method=method))
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    top, _, body = answer.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: POST" in top
    assert (body == b"") == (method == "HEAD")


@pytest.mark.parametrize(
    "path",
    ["/", "/webhooks", "/webhooks/", "/webhooks/Siglume", "/webhooks/siglume/", "/webhooks/siglume%00", "/metrics",
     "/readyz", "//webhooks/siglume", "/webhooks/../webhooks/siglume", "/webhooks/" + "x" * 5000],
)  # fmt: skip
async def test_any_other_path_is_404(ingress: Ingress, path: str) -> None:
    assert await status_of(ingress.port, post(event(), path=path)) == 404


async def test_a_query_does_not_hide_the_endpoint(ingress: Ingress) -> None:
    assert await status_of(ingress.port, post(event(), path="/webhooks/siglume?source=retry")) == 204


async def test_content_type_does_not_matter_and_identity_is_no_coding(ingress: Ingress) -> None:
    assert await status_of(ingress.port, post(event(), ("Content-Type", "text/plain"))) == 204
    assert await status_of(ingress.port, post(event(), ("Content-Encoding", "Identity"))) == 204


async def test_one_coding_among_several_headers_is_415(ingress: Ingress) -> None:
    codings = (("Content-Encoding", "identity"), ("Content-Encoding", "br"))
    assert await status_of(ingress.port, post(event(), *codings)) == 415


async def test_bodies_of_exactly_the_cap_pass_and_one_byte_more_does_not(amqp_url: str) -> None:
    async with open_ingress(amqp_url, KESSAI_MAX_BODY="2000") as ingress:
        fits = event(data={"pad": ""})
        fits = event(data={"pad": "x" * (2000 - len(fits))})
        over = event(data={"pad": "x" * (2001 - len(event(data={"pad": ""})))})
        te = ("Transfer-Encoding", "chunked")
        assert (len(fits), len(over)) == (2000, 2001)
        assert await status_of(ingress.port, post(fits)) == 204
        assert await status_of(ingress.port, post(over)) == 413
        assert (
            await status_of(ingress.port, post(b"", te, (HEADER, signature(fits)), signed=False) + chunked(fits)) == 204
        )
        assert (
            await status_of(ingress.port, post(b"", te, (HEADER, signature(over)), signed=False) + chunked(over)) == 413
        )


async def test_413_is_answered_before_the_body_is_sent(ingress: Ingress) -> None:
    assert await status_of(ingress.port, post(b"", length=10**12), within=1.0) == 413


async def test_an_expected_continue_is_given(ingress: Ingress) -> None:
    raw = event()
    whole = post(raw, ("Expect", "100-continue"))
    reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
    writer.write(whole[: -len(raw)])
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(raw)
    answer = await read_response(reader)
    writer.close()
    assert answer is not None
    assert answer.status == 204


async def test_a_connection_carries_many_webhooks_accepted_and_refused(ingress: Ingress) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
    statuses = []
    for attempt in (post(event()), post(event(), signed=False), post(event())):
        writer.write(attempt)
        answer = await asyncio.wait_for(read_response(reader), 5)
        assert answer is not None
        statuses.append(answer.status)
    writer.close()
    assert statuses == [204, 401, 204]


async def test_pipelined_webhooks_are_answered_in_order(ingress: Ingress) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
    writer.write((post(event()) + post(event(), signed=False)) * 40)
    answers = [await asyncio.wait_for(read_response(reader), 5) for _ in range(80)]
    writer.close()
    assert [answer and answer.status for answer in answers] == [204, 401] * 40
    assert len(await drain(ingress.amqp_url, CONFIRMATIONS_QUEUE)) == 40


async def test_either_live_secret_verifies_during_a_rotation(amqp_url: str, tmp_path: Path) -> None:
    config = tmp_path / "kessai.toml"
    config.write_text('[endpoints.shop]\nsecrets = ["whsec_new", "whsec_old"]\n')
    async with open_ingress(amqp_url, KESSAI_CONFIG=str(config)) as ingress:
        for secret, status in (("whsec_new", 204), ("whsec_old", 204), (SECRET, 401)):
            raw = event()
            attempt = post(raw, (HEADER, signature(raw, secret=secret)), path="/webhooks/shop", signed=False)
            assert await status_of(ingress.port, attempt) == status
    envelopes = await drain(amqp_url, CONFIRMATIONS_QUEUE)
    expected = [SigningSecret.from_text(secret).fingerprint for secret in ("whsec_new", "whsec_old")]
    assert [envelope.key_fingerprint for envelope in envelopes] == expected
