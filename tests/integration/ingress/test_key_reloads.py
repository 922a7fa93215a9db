"""SIGHUP has the ingress read its webhook secrets again, without a restart; unusable settings change nothing."""

import signal
import subprocess
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.sdrp.signature import SigningSecret
from tests.integration.deploy.dockerfile import REPOSITORY
from tests.integration.ingress.program import ANY_PORTS, Program, program
from tests.integration.ingress.wire import SECRET, event, head, signature, status_of
from tests.programs import clean_environment

OLD, NEW = SECRET, "whsec_of_next_year"


def signed(secret: str) -> bytes:
    raw = event()
    fields = [
        ("Host", "ingress"),
        ("Siglume-Signature", signature(raw, secret=secret)),
        ("Content-Length", str(len(raw))),
    ]
    return head("POST", "/webhooks/siglume", fields) + raw


class Shop:
    """Its KESSAI_CONFIG, and an ingress that was started with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.config = folder / "kessai.toml"
        for name, secret in (("old", OLD), ("new", NEW)):
            (folder / name).write_text(f"{secret}\n")

    def keeps(self, *files: str, **not_after: datetime) -> None:
        keys = [f'[[endpoints.siglume.keys]]\nsecret_file = "{file}"\n' for file in files]
        for name, moment in not_after.items():
            keys.append(f'[[endpoints.siglume.keys]]\nsecret_file = "{name}"\nnot_after = {moment.isoformat()}\n')
        self.config.write_text("".join(keys))


def ingress_of(amqp_url: str, folder: Path, shop: Shop, *arguments: str) -> AbstractContextManager[Program]:
    given = {"SIGLUME_WEBHOOK_SECRET": None, "KESSAI_CONFIG": str(shop.config)}
    return program(folder, amqp_url, *arguments, **given)


async def statuses(port: int) -> tuple[int | str, int | str]:
    """What the old secret and the new one are answered."""
    return await status_of(port, signed(OLD)), await status_of(port, signed(NEW))


async def reloaded(ingress: Program, *, times: int) -> dict[str, Any]:
    ingress.process.send_signal(signal.SIGHUP)
    return (await ingress.told("ingress.keys_reloaded", times=times))[-1]


async def test_a_secret_is_added_and_retired_while_the_ingress_serves(amqp_url: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.keeps("old")
    with ingress_of(amqp_url, tmp_path, shop) as ingress:
        (started,) = await ingress.told("ingress.started")
        assert await statuses(started["port"]) == (204, 401)
        shop.keeps("new", old=datetime.now(UTC) + timedelta(hours=1))
        line = await reloaded(ingress, times=1)
        assert (len(line["keys"]["siglume"]), line["needs_restart"]) == (2, [])
        assert await statuses(started["port"]) == (204, 204)
        shop.keeps("new", old=datetime.now(UTC) - timedelta(seconds=1))
        await reloaded(ingress, times=2)
        assert await statuses(started["port"]) == (401, 204)
        shop.keeps("new")
        await reloaded(ingress, times=3)
        assert await statuses(started["port"]) == (401, 204)
        text = ingress.log.read_text()
    assert OLD not in text
    assert NEW not in text


def make_secrets(folder: Path, *arguments: str) -> None:
    script = REPOSITORY / "deploy" / "docker" / "make-secrets"
    environment = clean_environment() | {"KESSAI_SECRETS_DIR": str(folder)}
    subprocess.run([script, *arguments], env=environment, check=True, timeout=20)


async def test_the_secret_of_the_compose_deployment_is_rotated_without_a_restart(amqp_url: str, tmp_path: Path) -> None:
    folder, mounted = tmp_path / "secrets", tmp_path / "mounted"
    make_secrets(folder, OLD)
    mounted.hardlink_to(folder / "siglume_webhook_secret")  # a container sees the file that it was started with
    given = {"SIGLUME_WEBHOOK_SECRET": None, "SIGLUME_WEBHOOK_SECRET_FILE": str(mounted)}
    with program(tmp_path, amqp_url, **given) as ingress:
        (started,) = await ingress.told("ingress.started")
        assert await statuses(started["port"]) == (204, 401)
        make_secrets(folder, "add-webhook-secret", NEW)
        await reloaded(ingress, times=1)
        assert await statuses(started["port"]) == (204, 204)
        make_secrets(folder, "remove-webhook-secret", SigningSecret.from_text(OLD).fingerprint)
        await reloaded(ingress, times=2)
        assert await statuses(started["port"]) == (401, 204)
        text = ingress.log.read_text()
    assert OLD not in text
    assert NEW not in text


async def test_what_cannot_be_read_leaves_the_ingress_as_it_is(amqp_url: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.keeps("old")
    with ingress_of(amqp_url, tmp_path, shop) as ingress:
        (started,) = await ingress.told("ingress.started")
        shop.keeps("nowhere")
        ingress.process.send_signal(signal.SIGHUP)
        (kept,) = await ingress.told("ingress.key_reload_failed")
        assert "nowhere" in kept["because"]
        assert await statuses(started["port"]) == (204, 401)
        shop.keeps("no\\u0000where")  # no name of a file that Python would open
        ingress.process.send_signal(signal.SIGHUP)
        await ingress.told("ingress.key_reload_failed", times=2)
        shop.keeps("new")
        await reloaded(ingress, times=1)
        assert await statuses(started["port"]) == (401, 204)


async def test_an_endpoint_that_is_new_waits_for_a_restart(amqp_url: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.keeps("old")
    with ingress_of(amqp_url, tmp_path, shop) as ingress:
        await ingress.told("ingress.started")
        shop.config.write_text('[endpoints.books]\nsecret_files = ["new"]\n')
        line = await reloaded(ingress, times=1)
    assert line["needs_restart"] == ["books", "siglume"]
    assert list(line["keys"]) == ["siglume"]


async def test_each_of_several_processes_is_told(amqp_url: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.keeps("old")
    with ingress_of(amqp_url, tmp_path, shop, *ANY_PORTS, "--processes", "2") as ingress:
        started = await ingress.told("ingress.started", times=2)
        shop.keeps("new")
        await reloaded(ingress, times=2)
        assert {await statuses(started[0]["port"]) for _ in range(12)} == {(401, 204)}
        ingress.process.terminate()
        assert await ingress.ended() == 0
