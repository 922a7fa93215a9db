"""A private Postgres: durable, on loopback only, sized for a test machine."""

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.local import processes
from deploy.local.accounts import Account
from deploy.local.errors import LocalStackError, ServiceFailed
from deploy.local.ports import LOOPBACK
from deploy.local.service import numbers, own_file, own_folder

USER = DATABASE = "kessai"
_DEBIAN = Path("/usr/lib/postgresql")
_LARGE_MEMORY = 4 * 1024**3

_SETTINGS = """\
listen_addresses = '{loopback}'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = {shared_buffers}
# In the data folder, so that a server that was killed leaves nothing behind in /dev/shm.
dynamic_shared_memory_type = mmap
# Durable, so that results of benchmarks and fault tests also hold elsewhere.
fsync = on
synchronous_commit = on
max_wal_size = 4GB
min_wal_size = 256MB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%d '
"""


@dataclass(frozen=True, slots=True)
class Postgres:
    """Its data is in `home`/data; the file of settings beside it is written again at each start."""

    home: Path
    mark: str
    account: Account | None
    port: int
    password: str
    log: Path
    name: str = "postgres"
    title: str = "Postgres"
    programs: frozenset[str] = frozenset({"postgres", "initdb"})

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{DATABASE}"

    @property
    def stop_signals(self) -> tuple[tuple[signal.Signals, float], ...]:
        """Fast shutdown, then the immediate one."""
        return (signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0)

    @property
    def _data(self) -> Path:
        return self.home / "data"

    def missing_programs(self) -> list[str]:
        return [] if installed_versions() else ["Postgres (initdb, postgres)"]

    def begin(self) -> None:
        programs = _programs_for(self._data)
        own_folder(self.home, self.account)
        if not (self._data / "PG_VERSION").exists():
            self._create(programs)
        self._clear_stale_lock()
        settings = own_file(self.home / "postgresql.conf", self._settings(), self.account)
        processes.spawn(
            [
                str(programs / "postgres"),
                *("-D", str(self._data)),
                f"--config_file={settings}",
                f"--hba_file={self._data / 'pg_hba.conf'}",
                f"--ident_file={self._data / 'pg_ident.conf'}",
                # The server repeats this name in the title of each of its processes: that is how they are found.
                f"--cluster_name={self.mark}",
            ],
            account=self.account,
            home=self.home,
            environment={},
            log=self.log,
        )

    def is_ready(self) -> bool:
        """The server notes its own number first and its state eighth; a file left by a crash names another process."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready" and int(lines[0]) in numbers(self)

    def _clear_stale_lock(self) -> None:
        """After a crash the lock may name a zombie or a stranger, and Postgres would take either for its older self."""
        lock = self._data / "postmaster.pid"
        if lock.exists() and not processes.find(str(self._data), programs=self.programs):
            lock.unlink(missing_ok=True)

    def _settings(self) -> str:
        return _SETTINGS.format(
            loopback=LOOPBACK, port=self.port, shared_buffers="512MB" if _memory() >= _LARGE_MEMORY else "128MB"
        )

    def _create(self, programs: Path) -> None:
        """Create the data under a temporary name, so that a crash leaves nothing that looks complete.

        The name carries the mark, by which an orphaned initdb is found.
        """
        draft = self.home / f"{self.mark}.new"
        shutil.rmtree(draft, ignore_errors=True)
        password = own_file(self.home / "password", self.password, self.account)
        try:
            self._run(
                [
                    str(programs / "initdb"),
                    *("-D", str(draft)),
                    *("-U", USER),
                    *("-A", "scram-sha-256", f"--pwfile={password}"),
                    *("--encoding=UTF8", "--locale=C"),
                    "--no-sync",  # the data is young enough to be made again
                ]
            )
            self._run(
                [str(programs / "postgres"), "--single", "-D", str(draft), "postgres"], f"CREATE DATABASE {DATABASE};\n"
            )
        finally:
            password.unlink(missing_ok=True)
        draft.rename(self._data)

    def _run(self, command: list[str], text: str = "") -> None:
        with self.log.open("ab") as sink:
            ended = subprocess.run(  # noqa: S603 - programs of the Postgres found on this machine
                command,
                input=text.encode(),
                stdout=sink,
                stderr=sink,
                cwd=self.home,
                env=processes.server_environment(self.home, {}),
                umask=0o077,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
                check=False,
            )
        if ended.returncode != 0:
            raise ServiceFailed(self.title, f"could not be set up ({Path(command[0]).name})", self.log)


def _programs_for(data: Path) -> Path:
    """Return the folder of programs of the version that created `data`, or of the newest version."""
    installed = installed_versions()
    try:
        version = (data / "PG_VERSION").read_text().strip()
    except OSError:
        return installed[max(installed)]
    if int(version) not in installed:
        raise LocalStackError(
            f"{data} was made by Postgres {version}, which is not installed: install it, "
            "or delete the data with `kessai local down --wipe`"
        )
    return installed[int(version)]


def installed_versions() -> dict[int, Path]:
    """Major version -> folder of its programs. Debian keeps them off the PATH, one folder a version."""
    found = {
        int(folder.parent.name): folder
        for folder in _DEBIAN.glob("*/bin")
        if folder.parent.name.isdecimal() and (folder / "initdb").exists() and (folder / "postgres").exists()
    }
    initdb = shutil.which("initdb")
    if initdb is None or not (folder := Path(initdb).resolve().parent).joinpath("postgres").exists():
        return found
    output = subprocess.run([initdb, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    version = re.search(r" (\d+)", output)
    return found if version is None else {int(version[1]): folder} | found


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
