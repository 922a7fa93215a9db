"""What --help prints: one phrase for one option in all commands, whole sentences, and no numbers without meaning."""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from deploy.cli import main

SHARED = ("--json", "--limit", "--since", "--until", "--days", "--admin-host", "--event", "--kind", "--type")


def commands(command: Any = None, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401 - typer's own
    command = command or get_command(main.app)
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *path, name)


COMMANDS = {" ".join(path): (path, command) for path, command in commands() if path}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_explained_in_sentences(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, command = COMMANDS[name]
    texts = [command.help, *(each.help for each in command.params)]
    assert [text for text in texts if not text or not text.rstrip().endswith((".", "+ -"))] == []

    monkeypatch.setattr(sys, "argv", ["kessai", *path, "--help"])
    with pytest.raises(SystemExit):
        main.run()
    shown = capsys.readouterr().out
    assert re.search(r"[0-9]{9}|\[\[", shown) is None, (
        "a bound that nobody reaches, or a metavar with brackets of its own"
    )
    assert path[-1] in shown


def test_an_option_has_one_help_text_wherever_it_is() -> None:
    texts = defaultdict(set)
    for _, command in COMMANDS.values():
        for each in command.params:
            texts[each.opts[0]].add(each.help)
    assert {name: texts[name] for name in SHARED if len(texts[name]) > 1} == {}
