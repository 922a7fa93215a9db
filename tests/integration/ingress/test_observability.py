"""What an operator can see of the ingress, and what nobody may see."""

import asyncio
import json
import urllib.request
from pathlib import Path

from shared.sdrp.signature import SigningSecret
from tests.integration.ingress.conftest import Ingress
from tests.integration.ingress.program import program
from tests.integration.ingress.wire import HEADER, SECRET, ask, event, head, post, signature, status_of

MARKER = "marker-0b9e4d"


async def get(port: int, path: str) -> tuple[int, str]:
    def read() -> tuple[int, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()

    return await asyncio.to_thread(read)


async def samples(ingress: Ingress, family: str) -> dict[str, float]:
    _, text = await get(ingress.admin_port, "/metrics")
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(family)]
    return {name: float(value) for name, value in lines}


async def test_probes_answer_on_the_admin_port_alone(ingress: Ingress) -> None:
    assert await get(ingress.admin_port, "/livez") == (200, '{"live":true}')
    assert await get(ingress.admin_port, "/readyz") == (200, '{"ready":true}')
    for path in ("/livez", "/readyz", "/metrics"):
        assert await status_of(ingress.port, post(b"", method="GET", path=path)) == 404


async def test_every_answer_is_counted_and_strangers_make_no_series(ingress: Ingress) -> None:
    raw = event()
    await ask(ingress.port, post(raw))
    await ask(ingress.port, post(b"{}"))
    await ask(ingress.port, post(raw, signed=False))
    await ask(ingress.port, b"\x00\r\n\r\n")
    for number in range(30):
        await ask(ingress.port, post(raw, path=f"/webhooks/guess-{number}"))

    assert await samples(ingress, "kessai_ingress_requests_total") == {
        'kessai_ingress_requests_total{endpoint="siglume",reason="accepted",status="204"}': 1,
        'kessai_ingress_requests_total{endpoint="siglume",reason="malformed:missing_id",status="204"}': 1,
        'kessai_ingress_requests_total{endpoint="siglume",reason="signature_missing",status="401"}': 1,
        'kessai_ingress_requests_total{endpoint="-",reason="bad_http",status="400"}': 1,
        'kessai_ingress_requests_total{endpoint="-",reason="unknown_endpoint",status="404"}': 30,
    }
    fingerprint = SigningSecret.from_text(SECRET).fingerprint
    assert await samples(ingress, "kessai_ingress_secret_hits_total") == {
        f'kessai_ingress_secret_hits_total{{endpoint="siglume",fingerprint="{fingerprint}"}}': 2
    }
    assert (await samples(ingress, "kessai_ingress_publish_seconds_count"))["kessai_ingress_publish_seconds_count"] == 2
    assert (await samples(ingress, "kessai_ingress_in_flight"))["kessai_ingress_in_flight"] == 0
    assert (await samples(ingress, "kessai_ingress_broker_ready"))["kessai_ingress_broker_ready"] == 1


async def test_neither_secrets_nor_payloads_reach_the_log(amqp_url: str, tmp_path: Path) -> None:
    raw = event(f"evt_{MARKER}", data={"requirement_id": MARKER})
    header = signature(raw)
    with program(tmp_path, amqp_url, KESSAI_LOG_LEVEL="debug") as ingress:
        (started,) = await ingress.told("ingress.started")
        port = started["port"]
        attempts = {
            204: post(raw, (HEADER, header), signed=False),
            401: post(raw + b" ", (HEADER, header), signed=False),
            404: post(raw, path=f"/webhooks/{MARKER}"),
            405: post(raw, method="PUT"),
            415: post(raw, ("Content-Encoding", MARKER)),
            400: head("POST", "/webhooks/siglume", [("X-A", f"{MARKER}\x00")]),
        }
        assert {status: await status_of(port, attempt) for status, attempt in attempts.items()} == {
            status: status for status in attempts
        }
        assert await status_of(port, post(raw[:-1])) == 204
        await ingress.told("webhook.malformed")
        refusals = ingress.lines("webhook.refused")
        ingress.process.terminate()
        assert await ingress.ended() == 0
        text = ingress.log.read_text()

    assert [line["status"] for line in refusals] == [401, 404, 405, 415]
    password = amqp_url.partition("://")[2].partition("@")[0].partition(":")[2]
    for forbidden in (SECRET, MARKER, header, header.partition("v1=")[2], password):
        assert forbidden not in text
    assert all(json.loads(line)["event"] for line in text.splitlines())


async def test_a_flood_of_refusals_writes_few_lines_and_counts_the_rest(amqp_url: str, tmp_path: Path) -> None:
    with program(tmp_path, amqp_url) as ingress:
        (started,) = await ingress.told("ingress.started")
        for _ in range(200):
            assert await status_of(started["port"], post(b"{}", signed=False)) == 401
        await asyncio.sleep(1.1)
        await status_of(started["port"], post(b"{}", signed=False))
        lines = ingress.lines("webhook.refused")
    assert len(lines) < 60
    assert len(lines) + sum(line.get("omitted_before", 0) for line in lines) == 201
