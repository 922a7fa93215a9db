"""Records what a demo left running, and stops it."""

import os
import shlex
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from deploy.local.stack import Stack
from deploy.showcase.programs import KESSAI, STOPS_WITHIN, Program
from deploy.showcase.setting import Setting
from shared.errors import KessaiError

FILE = "demo.json"


class StillRunning(KessaiError):
    """A demo was left running, and only one may be."""


class NothingKept(KessaiError):
    """No demo was left running."""


@dataclass(frozen=True, slots=True)
class KeptProgram:
    pid: int
    admin_port: int


def folder_of() -> Path:
    """Return the folder of the demo, within that of the private stack unless the stack is the demo's own already."""
    folder = Stack.from_env().folder
    return folder if (folder / FILE).exists() else folder / "demo"


def require_free(folder: Path) -> None:
    """Raises StillRunning."""
    if (folder / FILE).exists():
        raise StillRunning(f"a demo was left running in {folder}: stop it with `kessai demo --stop`")


def remember(folder: Path, programs: list[Program]) -> None:
    kept = [asdict(KeptProgram(program.process.pid, program.admin_port)) for program in programs]
    (folder / FILE).write_bytes(orjson.dumps(kept))


def inspection_message(setting: Setting, url: str) -> str:
    kessai = KESSAI.relative_to(Path.cwd()) if KESSAI.is_relative_to(Path.cwd()) else KESSAI
    lines = ["", "The demo is still running. Inspect it:"]
    if setting.private:
        lines.append(f'  eval "$(KESSAI_LOCAL_DIR={shlex.quote(str(setting.folder))} {kessai} local env)"')
    lines += [
        f"  {kessai} orders list --state paid",
        f"  {kessai} reviews list --state open",
        f"  {kessai} dead-letters list",
        f"  {kessai} send --url {url}",
        f"  tail {setting.folder}/*.log",
        "Stop it:",
        f"  {kessai} demo --stop",
    ]
    return "\n".join(lines)


def stop(folder: Path) -> None:
    """End the programs, then the servers, and wipe the folder. Raises NothingKept."""
    try:
        kept = [KeptProgram(**each) for each in orjson.loads((folder / FILE).read_bytes())]
    except FileNotFoundError:
        raise NothingKept(f"no demo was left running in {folder}") from None
    _end([program for program in kept if _is_ours(program)])
    Stack(folder).down(wipe=True)
    shutil.rmtree(folder, ignore_errors=True)


def _end(programs: list[KeptProgram]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for program in programs:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, number)
        deadline = time.monotonic() + STOPS_WITHIN
        while any(map(_is_ours, programs)) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_ours(program: KeptProgram) -> bool:
    """Return whether the process is still the demo's: its number may belong to another program by now."""
    try:
        command = Path(f"/proc/{program.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(program.admin_port).encode() in command
