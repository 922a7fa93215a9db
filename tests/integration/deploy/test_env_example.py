"""deploy/.env.example names every variable that Kessai reads, explains it, and holds no secret."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from pydantic import AliasChoices
from typer.main import get_command

from deploy.cli.main import app
from shared.settings import SECRET_NAMES, Settings
from tests.integration.deploy.compose_file import ENV_EXAMPLE, env_example
from tests.integration.deploy.dockerfile import REPOSITORY

READ_ELSEWHERE: Final = {
    "KESSAI_LOCAL_DIR": "deploy/local/stack.py",
    "KESSAI_SECRETS_DIR": "deploy/docker/make-secrets",
}
"""Variables that neither the settings nor an option of a command name, and the file that reads each."""
PATHS: Final = {"KESSAI_CONFIG", *(f"{name}_FILE" for name in SECRET_NAMES)}
"""Variables whose value is the path of a file."""


def of_settings() -> set[str]:
    aliases = {name: info.validation_alias for name, info in Settings.model_fields.items()}
    names = {
        str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"KESSAI_{name.upper()}"
        for name, alias in aliases.items()
    }
    return names | {f"{name}_FILE" for name in SECRET_NAMES}


def of_options(command: object) -> Iterator[str]:
    """The variables that may set an option of a command or of its subcommands. Typer's own classes are private."""
    for parameter in getattr(command, "params", ()):
        named = parameter.envvar or ()
        yield from [named] if isinstance(named, str) else named
    for sub in getattr(command, "commands", {}).values():
        yield from of_options(sub)


def test_names_every_variable_that_is_read_and_nothing_else() -> None:
    options = set(of_options(get_command(app)))
    assert "SIGLUME_SANDBOX_PORT" in options
    assert set(env_example(commented=True)) == of_settings() | options | READ_ELSEWHERE.keys()


def test_the_variables_that_are_read_elsewhere_are_read_there() -> None:
    for name, file in READ_ELSEWHERE.items():
        assert name in (REPOSITORY / file).read_text(encoding="utf-8")


def test_values_are_the_defaults() -> None:
    assert Settings.from_env(env_example()) == Settings.from_env({})


def test_no_secret_is_set() -> None:
    assert not set(env_example()) & {*SECRET_NAMES, *PATHS}


def test_values_that_are_commented_out_are_understood() -> None:
    given = {name: value for name, value in env_example(commented=True).items() if name not in PATHS}
    settings = Settings.from_env(given)
    assert (settings.merchant, settings.require_database_url()[:10]) == ("my-shop", "postgresql")
    assert settings.checkouts()["siglume"].success_url == "https://shop.example.com/thanks"


def test_every_variable_is_explained_in_a_line() -> None:
    lines = ENV_EXAMPLE.read_text(encoding="utf-8").splitlines()
    for above, line in pairwise(lines):
        if re.match(r"#?[A-Z][A-Z0-9_]*=", line):
            assert re.match(r"# \S.{10,}", above), f"nothing explains {line}"
