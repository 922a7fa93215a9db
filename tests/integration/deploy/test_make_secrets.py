"""deploy/docker/make-secrets writes secrets that fit together, once, and for nobody else's eyes."""

import stat
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.sdrp.signature import SigningSecret
from shared.settings import Settings
from tests.integration.deploy.compose_file import document
from tests.integration.deploy.dockerfile import REPOSITORY
from tests.programs import clean_environment

SCRIPT = REPOSITORY / "deploy" / "docker" / "make-secrets"


def make_secrets(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = clean_environment() | {"KESSAI_SECRETS_DIR": str(folder)}
    return subprocess.run(
        [SCRIPT, *arguments], input=stdin, env=environment, capture_output=True, text=True, check=False, timeout=20
    )


def test_writes_each_file_that_compose_mounts(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert make_secrets(folder, "whsec_shop").returncode == 0
    mounted = {Path(secret["file"]).name for secret in document()["secrets"].values()}
    assert {path.name for path in folder.iterdir()} == mounted


def test_urls_carry_the_passwords_that_the_servers_are_given(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder, "whsec_shop")
    text = {path.name: path.read_text(encoding="utf-8").strip() for path in folder.iterdir()}
    database, amqp = urlsplit(text["database_url"]), urlsplit(text["amqp_url"])
    assert (database.hostname, database.password) == ("postgres", text["postgres_password"])
    assert text["rabbitmq_account.conf"] == f"default_user = {amqp.username}\ndefault_pass = {amqp.password}"
    assert amqp.hostname == "rabbitmq"
    assert database.password != amqp.password
    assert len(database.password or "") == 48


def test_kessai_reads_what_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder, "-", stdin="whsec_shop\n")
    settings = Settings.from_env({"SIGLUME_WEBHOOK_SECRET_FILE": str(folder / "siglume_webhook_secret")})
    assert settings.endpoints()["siglume"].secrets[0].key == b"whsec_shop"


def test_the_checkout_takes_what_was_given_and_nothing_for_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder, "whsec_shop")
    files = {
        "SIGLUME_MERCHANT_AUTH_TOKEN_FILE": folder / "siglume_merchant_auth_token",
        "SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET_FILE": folder / "siglume_challenge_secret",
    }
    environ = {name: str(path) for name, path in files.items()}
    assert not Settings.from_env(environ).checkouts()["siglume"].starts_payments
    files["SIGLUME_MERCHANT_AUTH_TOKEN_FILE"].chmod(0o644)
    files["SIGLUME_MERCHANT_AUTH_TOKEN_FILE"].write_text("token\n", encoding="utf-8")
    terms = Settings.from_env(environ).checkouts()["siglume"]
    assert (terms.access is not None, terms.challenge_secret) == (True, None)


def test_folder_is_closed_to_others_and_its_files_open_to_a_container_s_user(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder, "whsec_shop")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}


def test_never_replaces_passwords_that_the_servers_know(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder, "whsec_shop")
    before = (folder / "database_url").read_text(encoding="utf-8")
    again = make_secrets(folder, "whsec_shop")
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert (folder / "database_url").read_text(encoding="utf-8") == before


def test_the_webhook_secret_is_rotated_within_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder, "whsec_old")
    live = folder / "siglume_webhook_secret"
    before = live.stat()
    added = make_secrets(folder, "add-webhook-secret", "-", stdin="whsec_new\n")
    assert (added.returncode, live.read_text(encoding="utf-8")) == (0, "whsec_new\nwhsec_old\n")
    make_secrets(folder, "add-webhook-secret", "whsec_old")
    assert live.read_text(encoding="utf-8") == "whsec_old\nwhsec_new\n", "a secret that is there already is one line"
    make_secrets(folder, "remove-webhook-secret", SigningSecret.from_text("whsec_old").fingerprint)
    assert live.read_text(encoding="utf-8") == "whsec_new\n"
    assert (live.stat().st_ino, live.stat().st_mode) == (before.st_ino, before.st_mode)
    assert "whsec_" not in added.stdout + added.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("add-webhook-secret",), "needs one argument"),
        (("add-webhook-secret", " "), "blank"),
        (("remove-webhook-secret", "0123456789ab"), "no secret"),
        (("remove-webhook-secret", SigningSecret.from_text("whsec_old").fingerprint), "would be empty"),
    ],
)
def test_a_rotation_that_would_leave_no_secret_or_change_none_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], error: str
) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder, "whsec_old")
    refused = make_secrets(folder, *arguments)
    assert (refused.returncode, error in refused.stderr) == (1, True)
    assert (folder / "siglume_webhook_secret").read_text(encoding="utf-8") == "whsec_old\n"


@pytest.mark.parametrize("arguments", [(), ("  ",), ("-",), ("one", "two")])
def test_refuses_a_missing_or_blank_webhook_secret(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    refused = make_secrets(tmp_path / "secrets", *arguments)
    assert refused.returncode == 1
    assert refused.stderr.startswith("make-secrets: ")
    assert not (tmp_path / "secrets").exists()


def test_a_disk_that_is_full_costs_no_secret(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder, "whsec_shop")
    on_a_full_disk = f"ulimit -f 0; trap '' XFSZ; exec {SCRIPT} add-webhook-secret whsec_next"
    environment = clean_environment() | {"KESSAI_SECRETS_DIR": str(folder)}
    done = subprocess.run(["sh", "-c", on_a_full_disk], env=environment, capture_output=True, check=False, timeout=20)
    assert done.returncode != 0
    assert (folder / "siglume_webhook_secret").read_text() == "whsec_shop\n"
