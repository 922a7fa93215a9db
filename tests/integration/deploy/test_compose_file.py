"""deploy/compose.yaml is valid, and says what its comments promise."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from shared.settings import Settings
from tests.integration.deploy import compose_file
from tests.integration.deploy.compose_file import Service, document, env_example, kessai_services, services
from tests.integration.deploy.dockerfile import REPOSITORY
from workers.database import HOLD_SECONDS
from workers.reconcile.role import AT_ONCE
from workers.run import RoleName

SCHEMA = Path(__file__).with_name("schema") / "compose-spec.json"
RABBITMQ_CONF = REPOSITORY / "deploy" / "docker" / "rabbitmq.conf"
PINNED = re.compile(r"[a-z]+:\d+\.\d+[\w.-]*")

every_service = pytest.mark.parametrize("service", services().values(), ids=lambda service: service.name)
every_kessai_service = pytest.mark.parametrize("service", kessai_services(), ids=lambda service: service.name)


def test_is_valid_by_the_compose_specification() -> None:
    schema = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [error.message for error in schema.iter_errors(document())] == []


def test_has_two_ingresses_two_workers_of_each_role_a_console_and_a_checkout() -> None:
    assert {service.name: service.replicas for service in kessai_services() if not service.is_one_shot} == {
        "ingress": 2,
        "confirmations": 2,
        "dead-letters": 2,
        "outbox": 2,
        "reconcile": 1,
        "console": 1,
        "checkout": 1,
    }


def test_every_role_of_a_worker_runs_somewhere() -> None:
    commands = [service.command for service in kessai_services() if service.command[0] == "worker"]
    roles = [role for command in commands for role in command[1 : command.index("--admin-host")]]
    assert sorted(roles) == sorted(RoleName)


def test_what_needs_a_merchants_token_starts_only_when_asked_for() -> None:
    """Not every installation has one."""
    assert {name: service.raw["profiles"] for name, service in services().items() if "profiles" in service.raw} == {
        "checkout": ["checkout"],
        "reconcile": ["reconcile"],
        "readiness": ["check"],
    }


@every_service
def test_image_is_pinned(service: Service) -> None:
    assert PINNED.fullmatch(service.image)


@every_service
def test_container_can_write_only_where_it_is_told_and_gain_no_privilege(service: Service) -> None:
    assert service.raw["read_only"] is True
    assert service.raw["cap_drop"] == ["ALL"]
    assert service.raw["security_opt"] == ["no-new-privileges:true"]
    assert any(mount.startswith("/tmp:") for mount in service.raw["tmpfs"])  # noqa: S108 - in the container
    assert set(service.raw["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


@every_service
def test_server_image_does_not_start_as_root(service: Service) -> None:
    """Ours names its user itself."""
    assert service.is_kessai or service.raw["user"] in {"postgres", "999:999"}


@every_service
def test_what_goes_on_has_a_health_check_and_comes_back(service: Service) -> None:
    if service.is_one_shot:
        assert not service.healthcheck
    else:
        assert service.raw["restart"] == ("always" if service.name == "ingress" else "unless-stopped")
        assert service.healthcheck[0] == "CMD"


@every_kessai_service
def test_grace_period_is_above_the_drain_time(service: Service) -> None:
    drain = Settings.from_env(env_example()).drain_timeout
    assert service.grace >= drain + 5


def test_only_ingresses_and_the_console_are_published_and_on_loopback() -> None:
    published = {service.name: service.raw["ports"] for service in services().values() if "ports" in service.raw}
    assert published == {
        "ingress": ["127.0.0.1:8080-8081:8080"],
        "console": ["127.0.0.1:8070:8070"],
        "checkout": ["127.0.0.1:8060:8060"],
    }
    assert document()["networks"]["inside"] == {"internal": True}
    outside = [service.name for service in services().values() if service.raw["networks"] != ["inside"]]
    assert outside == ["ingress", "reconcile", "console", "checkout", "readiness"]


def test_a_port_is_published_for_each_ingress() -> None:
    ingress = services()["ingress"]
    first, last = re.findall(r":(\d+)-(\d+):", ingress.raw["ports"][0])[0]
    assert int(last) - int(first) + 1 == ingress.replicas


def test_nothing_waits_for_a_condition_that_cannot_come() -> None:
    all_services = services()
    for service in all_services.values():
        for name, condition in service.waits_for.items():
            other = all_services[name]
            assert condition == ("service_completed_successfully" if other.is_one_shot else "service_healthy")


def test_roles_start_after_the_schema_and_the_topology() -> None:
    all_services = services()
    assert set(all_services["migrate"].waits_for) == {"postgres"}
    assert set(all_services["topology"].waits_for) == {"rabbitmq"}
    assert set(all_services["ingress"].waits_for) == {"topology"}
    assert set(all_services["checkout"].waits_for) == {"migrate"}
    for role in ("confirmations", "dead-letters", "outbox"):
        assert set(all_services[role].waits_for) == {"migrate", "topology"}


@every_kessai_service
def test_secret_is_read_from_a_granted_file(service: Service) -> None:
    files = {name: value for name, value in service.environment.items() if name.endswith("_FILE")}
    assert {value.removeprefix("/run/secrets/") for value in files.values()} == set(service.secrets)


def test_of_what_keeps_running_only_the_ingress_holds_the_webhook_secret_and_no_password_of_the_books() -> None:
    holders = {service.name for service in services().values() if "siglume_webhook_secret" in service.secrets}
    assert {name for name in holders if not services()[name].is_one_shot} == {"ingress"}
    assert "database_url" not in services()["ingress"].secrets


def test_one_container_can_be_asked_whether_payments_can_begin_and_which_secret_signs() -> None:
    """`kessai readiness` and `kessai keys check` need all of it at once; no other service waits for them."""
    readiness = services()["readiness"]
    assert readiness.is_one_shot
    assert not readiness.waits_for
    assert set(readiness.secrets) == {
        "database_url",
        "amqp_url",
        "siglume_webhook_secret",
        "siglume_merchant_auth_token",
    }
    assert readiness.raw["networks"] == ["inside", "outside"]
    lines = compose_file.COMPOSE_FILE.read_text(encoding="utf-8")
    command = "docker compose --file deploy/compose.yaml --profile check run --rm readiness keys check"
    assert command in lines, "as it works from the root of the repository"


def test_secrets_come_from_files() -> None:
    """Compose refuses any other source for a container whose root is read-only."""
    secrets = document()["secrets"]
    assert all(list(secret) == ["file"] for secret in secrets.values())
    granted = {name for service in services().values() for name in service.secrets}
    assert granted | {"rabbitmq_account"} == set(secrets)


def test_no_environment_holds_a_secret() -> None:
    for service in services().values():
        for name, value in service.environment.items():
            assert name.endswith("_FILE") or not re.search("PASS|SECRET|URL|TOKEN", name), f"{service.name}: {value}"


def test_an_ingress_may_open_more_files_than_connections() -> None:
    limit = services()["ingress"].raw["ulimits"]["nofile"]["soft"]
    assert limit > Settings.from_env(env_example()).max_connections + 100


def test_postgres_has_connections_for_everybody() -> None:
    command = services()["postgres"].command
    (allowed,) = (int(word.split("=")[1]) for word in command if word.startswith("max_connections="))
    lasting = [service for service in kessai_services() if not service.is_one_shot]
    users = sum(service.replicas for service in lasting if "database_url" in service.raw["secrets"])
    readers = sum(service.replicas for service in lasting if "reconcile" in service.command)
    assert users * Settings.from_env(env_example()).database_pool + readers * AT_ONCE <= allowed / 2


def test_postgres_answers_a_commit_only_from_the_disk() -> None:
    command = " ".join(services()["postgres"].command)
    assert "synchronous_commit=on" in command
    assert "fsync" not in command
    assert "full_page_writes" not in command


def test_rabbitmq_waits_longer_for_a_worker_than_a_worker_holds_its_work() -> None:
    (timeout,) = re.findall(r"^consumer_timeout = (\d+)$", RABBITMQ_CONF.read_text(encoding="utf-8"), re.MULTILINE)
    assert int(timeout) / 1000 > HOLD_SECONDS


def test_mounted_files_are_there() -> None:
    folder = compose_file.COMPOSE_FILE.parent
    mounts = [volume for service in services().values() for volume in service.raw.get("volumes", [])]
    local = [volume.split(":")[0] for volume in mounts if volume.startswith(".")]
    assert local == ["./docker/rabbitmq.conf"]
    assert (folder / local[0]).is_file()
