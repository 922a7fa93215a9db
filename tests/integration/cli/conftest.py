"""`kessai` within the process of the tests, with books of the test's own: twenty times as fast as a program each."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pytest

from deploy.cli import main
from shared.ledger.database import open_pool
from tests.conftest import WEBHOOK_SECRET
from tests.integration.ledger.books import TestBooks
from tests.programs import Ran, clean_environment

Given: TypeAlias = Callable[[Callable[[TestBooks], Awaitable[None]]], None]


@dataclass(frozen=True, slots=True)
class Terminal:
    """`terminal("events", "list", "--json")` is what a person types."""

    environment: Mapping[str, str]
    _capture: pytest.CaptureFixture[str]
    _patch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Ran:
        with self._patch.context() as patch:
            for name in os.environ.keys() - clean_environment().keys():
                patch.delenv(name)
            for name, value in {**self.environment, **(environment or {})}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["kessai", *arguments])
            with pytest.raises(SystemExit) as ended:
                main.run()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as commands may leave it otherwise
        out, err = self._capture.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, out, err)


@pytest.fixture
def kessai(database_url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Books and a secret, and no broker: what people read and decide needs none."""
    environment = {"KESSAI_DATABASE_URL": database_url, "SIGLUME_WEBHOOK_SECRET": WEBHOOK_SECRET}
    return Terminal(environment, capfd, monkeypatch)


@pytest.fixture
def given_books(database_url: str) -> Given:
    """Puts something into the books before a command looks at them."""

    async def put(fill: Callable[[TestBooks], Awaitable[None]]) -> None:
        pool = await open_pool(database_url, application="test", size=1, statement_timeout=20.0)
        try:
            await fill(TestBooks(pool))
        finally:
            pool.terminate()

    return lambda fill: asyncio.run(put(fill))
