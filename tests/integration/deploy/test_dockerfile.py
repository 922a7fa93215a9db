"""The image is built from locked parts and runs as nobody."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.integration.deploy.compose_file import services
from tests.integration.deploy.dockerfile import DOCKERFILE, REPOSITORY, stages
from tests.integration.deploy.image import ignored

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
FETCHED = re.compile(r"\bpip\b.*\b(install|wheel)\b")


def test_every_stage_starts_from_the_same_pinned_slim_python() -> None:
    images = {stage.image for stage in stages()}
    assert len(stages()) == 2
    assert len(images) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", images.pop())


def test_nothing_is_fetched_without_a_hash() -> None:
    steps = [step.text for stage in stages() for step in stage.all("RUN") if FETCHED.search(step.text)]
    assert len(steps) == 4
    for step in steps:
        locked = "--require-hashes" in step and "--only-binary :all:" in step
        assert locked or "--no-index" in step
        assert "--no-deps" in step


def test_build_names_no_index_and_no_host() -> None:
    assert not re.search(r"https?://|--(extra-)?index-url|--trusted-host", DOCKERFILE.read_text(encoding="utf-8"))


def test_build_tools_are_those_of_the_development_lock() -> None:
    built_with = _locked("deploy/docker/build-requirements.lock")
    assert built_with.items() <= _locked("requirements-dev.lock").items()
    assert PROJECT["build-system"]["requires"] == [name for name in built_with if name.startswith("hatchling==")]


def test_final_stage_runs_as_a_numbered_nobody_and_runs_no_command() -> None:
    final = stages()[-1]
    (user,) = final.all("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user.text)
    assert final.all("RUN") == []
    assert [copy.words()[0] for copy in final.all("COPY")] == ["--from=builder"]


def test_final_stage_is_kessai_itself_and_ends_at_sigterm() -> None:
    final = stages()[-1]
    assert [each.words() for each in final.all("ENTRYPOINT")] == [["kessai"]]
    assert [each.text for each in final.all("STOPSIGNAL")] == ["SIGTERM"]
    assert final.environment()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_version_is_that_of_the_project() -> None:
    version = PROJECT["project"]["version"]
    (label,) = stages()[-1].all("LABEL")
    assert f"org.opencontainers.image.version={version}" in label.words()
    assert {service.image for service in services().values() if service.is_kessai} == {f"kessai:{version}"}


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".env",
        "deploy/.env",
        "deploy/secrets/amqp_url",
        ".local/postgres/data",
        ".venv/bin/python",
        "tests/conftest.py",
        "shared/__pycache__/settings.cpython-311.pyc",
    ],
)
def test_builder_does_not_get(path: str) -> None:
    assert ignored(path)


@pytest.mark.parametrize(
    "path", ["pyproject.toml", "shared/settings.py", "shared/ledger/migrations/versions/0001_books.sql", "LICENSE"]
)
def test_builder_gets(path: str) -> None:
    assert not ignored(path)


def _locked(path: str) -> dict[str, str]:
    """The hashes of each `name==version`."""
    text = Path(REPOSITORY / path).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+==\S+) \\\n((?: +--hash=\S+(?: \\)?\n)+)", text, re.MULTILINE))
