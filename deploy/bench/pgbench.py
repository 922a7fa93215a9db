"""How fast is Postgres itself with the worker's statements, one transaction an event? pgbench, 16 clients, prepared.

Each client counts up a number of its own, so that every transaction pays another order, as the worker's events do. The
statements themselves come from recording.py.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from shared.errors import KessaiError

CLIENTS = 16
COUNTING = "\\set n :first + :client_id * :each + :k\n\\set k :k + 1\n"


class PgbenchFailed(KessaiError):
    """pgbench is not there, or did not carry out every transaction."""


def run(
    database_url: str, script: str, *, first: int, transactions: int, settings: Mapping[str, str], folder: Path
) -> float:
    """Transactions a second over orders `first`, `first + 1`, ...; `transactions` is a multiple of CLIENTS.

    `settings` are Postgres settings of each connection, those of the worker's own.
    """
    file = folder / "pgbench.sql"
    file.write_text(COUNTING + script, encoding="utf-8")
    each = transactions // CLIENTS
    variables = {"first": first, "each": each, "k": 0}
    argv = [_program(), "--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", "--jobs=2"]
    argv += [f"--define={name}={value}" for name, value in variables.items()]
    argv += [f"--transactions={each}", f"--file={file}", database_url]
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    done = subprocess.run(  # noqa: S603 - the program is Postgres' own
        argv, env={**os.environ, "PGOPTIONS": options}, capture_output=True, text=True, check=False
    )
    return _tps(done, each * CLIENTS)


def _tps(done: "subprocess.CompletedProcess[str]", wanted: int) -> float:
    processed = re.search(r"actually processed: (\d+)", done.stdout)
    tps = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not processed or not tps or int(processed[1]) != wanted:
        raise PgbenchFailed(f"pgbench did not finish its {wanted} transactions: {done.stderr.strip()[-400:]}")
    return float(tps[1])


def _program() -> str:
    found = shutil.which("pgbench") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))), None)
    if found is None:
        raise PgbenchFailed("pgbench is not installed: install Postgres' own programs (Debian: postgresql)")
    return found
