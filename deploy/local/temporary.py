"""A stack that lives as long as one program: its servers and its data end with it, however it ends."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local.stack import SERVICES, URL_NAMES, Stack


def missing_services(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the servers that the environment does not name."""
    given = os.environ if environ is None else environ
    return tuple(name for name in SERVICES if not (given.get(URL_NAMES[name]) or given.get(f"{URL_NAMES[name]}_FILE")))


@contextmanager
def temporary_stack(only: tuple[str, ...] = SERVICES, *, within: Path | None = None) -> Iterator[Stack]:
    """Start a stack in a new folder, `within` a given one or the system's for temporary files; delete it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="kessai-stack-", dir=within))
    folder.chmod(0o711)  # the servers' accounts must pass through it
    with _kept(folder):
        stack = Stack(folder)
        stack.up(only)
        yield stack


@contextmanager
def services(environ: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Provide the URLs of both servers: from the environment, or from a temporary stack."""
    given = dict(os.environ if environ is None else environ)
    missing = missing_services(given)
    own = {name: given[name] for name in URL_NAMES.values() if given.get(name)}
    if not missing:
        yield own
        return
    with temporary_stack(missing) as stack:
        yield {URL_NAMES[name]: stack.environment()[URL_NAMES[name]] for name in missing} | own


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Start a process that deletes the stack when the pipe to it closes: when this block ends, or when we crash.

    It has a session of its own, so that Ctrl-C does not reach it.
    """
    keeper = subprocess.Popen(  # noqa: S603 - this very interpreter
        [sys.executable, "-m", "deploy.local.keeper", str(folder)],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
        start_new_session=True,
    )
    try:
        yield
    finally:
        keeper.communicate()
