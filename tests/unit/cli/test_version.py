"""A bug report begins with the version."""

import sys
from importlib.metadata import version

import pytest

from deploy.cli import main


def test_the_version_is_printed_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["kessai", "--version"])
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert (ended.value.code, capsys.readouterr()) == (0, (f"kessai {version('kessai')}\n", ""))
