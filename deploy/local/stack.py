"""One private Postgres and one private RabbitMQ in a folder: start, stop, and what tests do to them."""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from deploy.local import state as memory
from deploy.local.accounts import Account, account_for, may_enter
from deploy.local.errors import LocalStackError, ProgramsMissing, ServiceFailed
from deploy.local.lock import alone_in
from deploy.local.ports import is_free
from deploy.local.postgres import Postgres
from deploy.local.rabbitmq import NameService, RabbitMQ
from deploy.local.service import Service, kill, numbers, stop
from deploy.local.state import State

SERVICES = ("postgres", "rabbitmq")
URL_NAMES = {"postgres": "KESSAI_DATABASE_URL", "rabbitmq": "KESSAI_AMQP_URL"}
_READY_WITHIN = 90.0
_GONE_AFTER = 1.0
"""Seconds without a process of a starting server after which it counts as ended."""
_ELSEWHERE = Path("/var/tmp")  # noqa: S108 - each stack makes a fresh folder of its own there
_PLAIN_PATH = re.compile(r"[\w./+-]+", re.ASCII)
_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    name: str
    state: str
    """`running`, `starting` or `stopped`."""
    pid: int | None
    port: int | None
    log: str


class Stack:
    """A stack, identified by its folder: two objects or programs with the same folder control the same servers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        # Of the real path, so that a stack whose folder was deleted under it is still found.
        self.mark = "kessai-" + hashlib.sha256(os.fsencode(self.folder.resolve())).hexdigest()[:16]

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Use KESSAI_LOCAL_DIR, else `.local` of this code's checkout, else `.local` of the current folder."""
        named = (os.environ if environ is None else environ).get("KESSAI_LOCAL_DIR", "")
        beside = _CHECKOUT if (_CHECKOUT / "pyproject.toml").exists() else Path.cwd()
        return cls(Path(named).expanduser() if named.strip() else beside / ".local")

    def up(self, only: Collection[str] = SERVICES) -> None:
        """Start the servers that do not run, both at once."""
        with alone_in(self.folder):
            known = memory.load(self.folder)
            self._require_programs(only)
            if known is None or not Path(known.home).exists():
                self._kill_all(self._any_state())
                known = memory.fresh(self._choose_home())
            known = self._with_usable_ports(known)
            memory.save(self.folder, known)
            self._start([service for service in self._services(known) if service.name in only], known)

    def down(self, *, wipe: bool = False) -> None:
        """Stop everything; with `wipe` delete the data, too, and so without a clean stop."""
        if not self.folder.exists():
            self._kill_all(self._any_state())
            if wipe:
                self._remove(self._any_state())
            return
        with alone_in(self.folder):
            known = self._known_unless_unreadable() if wipe else memory.load(self.folder) or self._any_state()
            if wipe:
                self._kill_all(known)
                self._remove(known)
            else:
                self._stop_all(known)

    def start(self, name: str) -> None:
        """Start one service again, at its former port."""
        with alone_in(self.folder):
            known = self._known()
            self._start([self._service(known, name)], known)

    def restart(self, name: str) -> None:
        with alone_in(self.folder):
            known = self._known()
            service = self._service(known, name)
            stop(service)
            self._start([service], known)

    def stop(self, name: str) -> None:
        with alone_in(self.folder):
            stop(self._service(self._known(), name))

    def kill(self, name: str) -> None:
        """Send SIGKILL to every process of one service at once."""
        with alone_in(self.folder):
            kill(self._service(self._known(), name))

    def status(self) -> list[ServiceStatus]:
        known = memory.load(self.folder)
        return [
            _status(service, port_known=known is not None) for service in self._services(known or self._any_state())
        ]

    def environment(self) -> dict[str, str]:
        """Return the variables that connect a Kessai program to these servers, whether or not they run."""
        known = self._known()
        return {URL_NAMES["postgres"]: self.postgres(known).url, URL_NAMES["rabbitmq"]: self.rabbitmq(known).url}

    def postgres(self, known: State) -> Postgres:
        home = Path(known.home) / "postgres"
        return Postgres(
            home=home,
            mark=f"{self.mark}-postgres",
            account=account_for(home, preferred=["postgres"]),
            port=known.postgres_port,
            password=known.password,
            log=self.folder / "postgres.log",
        )

    def rabbitmq(self, known: State | None = None) -> RabbitMQ:
        known = known or self._known()
        home = Path(known.home) / "rabbitmq"
        return RabbitMQ(
            home=home,
            mark=f"{self.mark}-rabbitmq",
            account=self._broker_account(home),
            port=known.amqp_port,
            password=known.password,
            distribution_port=known.distribution_port,
            name_service_port=known.name_service_port,
            log=self.folder / "rabbitmq.log",
        )

    def _name_service(self, known: State) -> NameService:
        home = Path(known.home) / "rabbitmq"
        return NameService(
            home=home,
            mark=f"{self.mark}-epmd",
            account=self._broker_account(home),
            port=known.name_service_port,
            log=self.folder / "rabbitmq.log",
        )

    @staticmethod
    def _broker_account(home: Path) -> Account | None:
        return account_for(home, preferred=["rabbitmq"])

    def _services(self, known: State) -> tuple[Service, ...]:
        return self.postgres(known), self.rabbitmq(known)

    def _everything(self, known: State) -> tuple[Service, ...]:
        return *self._services(known), self._name_service(known)

    def _service(self, known: State, name: str) -> Service:
        for service in self._services(known):
            if service.name == name:
                return service
        raise LocalStackError(f"there is no service {name!r}: name one of {', '.join(SERVICES)}")

    def _known(self) -> State:
        known = memory.load(self.folder)
        if known is None:
            raise LocalStackError(f"there is no stack in {self.folder}: run `kessai local up` first")
        return known

    def _known_unless_unreadable(self) -> State:
        with suppress(LocalStackError):
            return memory.load(self.folder) or self._any_state()
        return self._any_state()

    def _any_state(self) -> State:
        """Return enough to find processes by, when the stack's own file is missing."""
        return State(str(self.folder), "", 0, 0, 0, 0)

    def _with_usable_ports(self, known: State) -> State:
        """Replace ports that another program has taken meanwhile, but never those of a server that runs."""
        spare = memory.fresh(Path(known.home))
        if not numbers(self.postgres(known)) and not is_free(known.postgres_port):
            known = replace(known, postgres_port=spare.postgres_port)
        broker_ports = (known.amqp_port, known.distribution_port, known.name_service_port)
        if numbers(self.rabbitmq(known)) or numbers(self._name_service(known)) or all(map(is_free, broker_ports)):
            return known
        return replace(
            known,
            amqp_port=spare.amqp_port,
            distribution_port=spare.distribution_port,
            name_service_port=spare.name_service_port,
        )

    def _start(self, services: list[Service], known: State) -> None:
        """Start RabbitMQ first: it takes longest, and Postgres prepares its data meanwhile."""
        idle = [service for service in reversed(services) if not self._runs(service)]
        if any(service.name == "rabbitmq" for service in idle):
            self._start_name_service(known)
        for service in idle:
            service.begin()
        for service in services:
            _wait_until_ready(service)

    def _start_name_service(self, known: State) -> None:
        name_service = self._name_service(known)
        if not name_service.is_ready():
            kill(name_service)
            name_service.begin()
            _wait_until_ready(name_service)

    def _require_programs(self, only: Collection[str]) -> None:
        wanted = {*only, "epmd"} if "rabbitmq" in only else set(only)
        services = [service for service in self._everything(self._any_state()) if service.name in wanted]
        missing = [program for service in services for program in service.missing_programs()]
        if missing:
            raise ProgramsMissing(missing)

    @staticmethod
    def _runs(service: Service) -> bool:
        """Return whether it serves or will serve; remove what a crashed start left."""
        if not numbers(service):
            return False
        with suppress(ServiceFailed):
            _wait_until_ready(service)
            return True
        kill(service)
        return False

    def _stop_all(self, known: State) -> None:
        for service in self._everything(known):
            stop(service)

    def _kill_all(self, known: State) -> None:
        for service in self._everything(known):
            kill(service)

    def _choose_home(self) -> Path:
        """Return the stack's folder, or one under /var/tmp when the servers' accounts cannot enter it.

        RabbitMQ's scripts also trip over a path with blanks or quotes.
        """
        accounts = [
            account_for(self.folder / "postgres", preferred=["postgres"]),
            self._broker_account(self.folder / "rabbitmq"),
        ]
        enterable = all(account is None or may_enter(self.folder, account) for account in accounts)
        if enterable and _PLAIN_PATH.fullmatch(str(self.folder)):
            return self.folder
        home = Path(tempfile.mkdtemp(prefix=f"{self.mark}-", dir=_ELSEWHERE))
        home.chmod(0o711)
        return home

    def _remove(self, known: State) -> None:
        """Delete only what a stack has created: the folder may hold other files."""
        homes = {Path(known.home), *filter(_is_ours, _ELSEWHERE.glob(f"{self.mark}-*"))}
        for home in homes:
            shutil.rmtree(home / "postgres", ignore_errors=True)
            shutil.rmtree(home / "rabbitmq", ignore_errors=True)
        for name in (memory.FILE, f"{memory.FILE}.new", "postgres.log", "rabbitmq.log", "lock"):
            (self.folder / name).unlink(missing_ok=True)
        for emptied in {*homes, self.folder}:
            with suppress(OSError):
                emptied.rmdir()


def _is_ours(home: Path) -> bool:
    """Return whether we created it: in such a folder everybody can create folders and links."""
    return not home.is_symlink() and home.stat().st_uid == os.geteuid()


def _status(service: Service, *, port_known: bool) -> ServiceStatus:
    running = numbers(service)
    state = "stopped" if not running else "running" if service.is_ready() else "starting"
    return ServiceStatus(
        name=service.name,
        state=state,
        pid=running[0] if running else None,
        port=service.port if port_known else None,
        log=str(service.log),
    )


def _wait_until_ready(service: Service) -> None:
    """Wait; a script that becomes the server has no known name for a moment, which does not count as its end."""
    deadline = time.monotonic() + _READY_WITHIN
    last_seen = time.monotonic()
    while not service.is_ready():
        if numbers(service):
            last_seen = time.monotonic()
        if time.monotonic() - last_seen > _GONE_AFTER:
            raise ServiceFailed(service.title, "ended while it was starting", service.log)
        if time.monotonic() > deadline:
            raise ServiceFailed(service.title, f"was not ready within {_READY_WITHIN:.0f} s", service.log)
        time.sleep(0.03)
