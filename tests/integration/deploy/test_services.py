"""Every service of compose.yaml, as the image would run it, on real servers: it starts, works, and ends at SIGTERM."""

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from shared.broker import topology
from shared.sdrp.signature import SigningSecret, sign
from tests.conftest import WEBHOOK_SECRET
from tests.integration.deploy import image as images
from tests.integration.deploy.compose_file import Service, kessai_services, services
from tests.integration.deploy.containers import Container, Machine, run_to_end, running
from tests.integration.deploy.image import Image
from tests.integration.deploy.read_only import read_only_root

ROLES = [service for service in kessai_services() if not service.is_one_shot]
every_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return images.build(tmp_path_factory.mktemp("image"))


@pytest.fixture
def machine(image: Image, tmp_path: Path, database_url: str, amqp_url: str) -> Iterator[Machine]:
    """Whatever runs there must leave the image as it is."""
    before = image.files()
    secrets = {
        "database_url": database_url,
        "amqp_url": amqp_url,
        "siglume_webhook_secret": WEBHOOK_SECRET,
        "siglume_merchant_auth_token": "token",
        "siglume_challenge_secret": "",
    }
    yield Machine(image, tmp_path, secrets)
    assert image.files() == before


async def test_one_shot_services_prepare_empty_servers(machine: Machine) -> None:
    with psycopg.connect(machine.secrets["database_url"], autocommit=True) as books:
        books.execute("DROP SCHEMA kessai CASCADE")
        _prepare(machine)
        assert books.execute("SELECT count(*) FROM kessai.orders").fetchone() == (0,)
    await topology.verify(machine.secrets["amqp_url"])


@pytest.mark.timeout(300)
def test_every_replica_starts_together_and_webhooks_come_through_to_the_books(machine: Machine) -> None:
    with ExitStack() as stack:
        replicas = [role for role in ROLES for _ in range(role.replicas)]
        containers = [stack.enter_context(running(machine, role)) for role in replicas]
        for container in containers:
            container.wait_until_healthy()
        ingresses = [container for container in containers if container.service.name == "ingress"]
        assert [_post(ingress, f"evt_{number}") for number, ingress in enumerate(ingresses)] == [204, 204]
        assert _outcomes(machine, count=len(ingresses)) == {"evt_0": "ignored", "evt_1": "ignored"}
        for container in containers:
            container.begin_stop()
        for container in containers:
            assert container.end_stop() == 0, container.output()


@pytest.mark.parametrize("command", [("readiness",), ("keys", "check")], ids=" ".join)
def test_what_is_asked_by_hand_reaches_all_it_needs(machine: Machine, command: tuple[str, ...]) -> None:
    """Siglume is not there; whatever is of Kessai itself is."""
    service = services()["readiness"]
    shop = {
        "SIGLUME_ENV": "sandbox",
        "SIGLUME_SANDBOX_API_BASE": "http://127.0.0.1:9/v1",
        "SHOP_PUBLIC_ORIGIN": "http://localhost:3000",
        "SHOP_WEBHOOK_URL": "http://localhost:8080/webhooks/siglume",
    }
    ended = run_to_end(machine, replace(service, command=command, environment={**service.environment, **shop}))
    told = ended.output()
    assert ended.process.returncode == 1, told
    assert SigningSecret.from_text(WEBHOOK_SECRET).fingerprint in told
    assert "no connection" in told
    if command == ("readiness",):
        own = {line.split()[1]: line[0] for line in told.splitlines() if " kessai_" in line}
        assert {own[name] for name in ("kessai_database", "kessai_broker", "kessai_migrations")} == {"✓"}, told


@every_role
def test_role_runs_as_an_unknown_user_on_a_read_only_root(machine: Machine, role: Service, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    narrowed = Machine(machine.image, machine.folder, machine.secrets, read_only_root(scratch))
    with running(narrowed, role) as container:
        container.wait_until_healthy()
        assert container.stop() == 0, container.output()
        assert not container.is_healthy()


def _prepare(machine: Machine) -> None:
    for name in ("migrate", "topology"):
        ended = run_to_end(machine, services()[name])
        assert ended.process.returncode == 0, f"{name}:\n{ended.output()}"


def _post(ingress: Container, event_id: str) -> int:
    """A readiness probe: the one confirmed event that needs no order."""
    event = {
        "id": event_id,
        "type": "direct_payment.confirmed",
        "api_version": "2026-01-01",
        "occurred_at": "2026-11-20T00:00:00Z",
        "data": {"readiness_probe": True},
    }
    raw = json.dumps(event).encode()
    header = sign(raw, secret=SigningSecret.from_text(WEBHOOK_SECRET), timestamp=int(time.time()))
    port = ingress.ports["8080"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/webhooks/siglume",
        data=raw,
        headers={"Siglume-Signature": header, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return int(answer.status)


def _outcomes(machine: Machine, *, count: int) -> dict[str, str]:
    """The outcome of each event, as soon as so many have one."""
    deadline = time.monotonic() + 20
    with psycopg.connect(machine.secrets["database_url"], autocommit=True) as books:
        while True:
            rows = books.execute("SELECT event_id, outcome FROM kessai.webhook_events").fetchall()
            if len(rows) >= count or time.monotonic() > deadline:
                return {str(event_id): str(outcome) for event_id, outcome in rows}
            time.sleep(0.1)
