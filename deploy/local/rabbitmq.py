"""A private RabbitMQ: one node, on loopback only, with a name service of its own."""

import os
import secrets
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from deploy.local import processes
from deploy.local.accounts import Account
from deploy.local.ports import LOOPBACK
from deploy.local.service import numbers, own_file, own_folder

USER = "kessai"
NODE = "kessai@localhost"
"""The same in every stack, since queues store it; a name service for each stack separates them."""
_DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_LOOPBACK_TERM = "{" + LOOPBACK.replace(".", ",") + "}"

_SETTINGS = """\
listeners.tcp.1 = {loopback}:{port}
default_user = {user}
default_pass = {password}
# A small machine is no reason to block publishers.
disk_free_limit.absolute = 10MB
vm_memory_high_watermark.relative = 0.6
"""


@dataclass(frozen=True, slots=True)
class NameService:
    """Erlang's epmd for one node alone, in the foreground: the shared one would outlive every stack."""

    home: Path
    mark: str
    account: Account | None
    port: int
    log: Path
    name: str = "epmd"
    title: str = "Erlang's name service"
    programs: frozenset[str] = frozenset({"epmd"})

    @property
    def stop_signals(self) -> tuple[tuple[signal.Signals, float], ...]:
        return ((signal.SIGTERM, 5.0),)

    def missing_programs(self) -> list[str]:
        return [] if shutil.which("epmd") else ["Erlang's name service (epmd)"]

    def begin(self) -> None:
        own_folder(self.home, self.account)
        processes.spawn(
            [shutil.which("epmd") or "epmd", "-port", str(self.port), "-address", LOOPBACK],
            account=self.account,
            home=self.home,
            environment={},
            log=self.log,
            title=f"epmd {self.mark}",
        )

    def is_ready(self) -> bool:
        return bool(numbers(self)) and _answers(self.port, b"")


@dataclass(frozen=True, slots=True)
class RabbitMQ:
    """It writes only into `home`; the file of settings is written again at each start."""

    home: Path
    mark: str
    account: Account | None
    port: int
    password: str
    distribution_port: int
    name_service_port: int
    log: Path
    name: str = "rabbitmq"
    title: str = "RabbitMQ"
    programs: frozenset[str] = frozenset({"rabbitmq-server", "erl", "erlexec", "beam.smp"})

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{self.password}@{LOOPBACK}:{self.port}/%2F"

    @property
    def stop_signals(self) -> tuple[tuple[signal.Signals, float], ...]:
        return ((signal.SIGTERM, 30.0),)

    def missing_programs(self) -> list[str]:
        programs = {"rabbitmq-server": server_program(), "Erlang (erl)": shutil.which("erl")}
        return [name for name, path in programs.items() if path is None]

    def begin(self) -> None:
        server = server_program() or "rabbitmq-server"
        own_folder(self.home, self.account)
        settings = _SETTINGS.format(loopback=LOOPBACK, port=self.port, user=USER, password=self.password)
        own_file(self.home / "rabbitmq.conf", settings, self.account)
        own_file(self.home / "enabled_plugins", "[].\n", self.account)
        if not (self.home / ".erlang.cookie").exists():
            own_file(self.home / ".erlang.cookie", secrets.token_hex(16), self.account).chmod(0o400)
        processes.spawn(
            [server, "-kessai_stack", self.mark, "-kernel", "inet_dist_use_interface", _LOOPBACK_TERM],
            account=self.account,
            home=self.home,
            environment=self._environment(),
            log=self.log,
        )

    def is_ready(self) -> bool:
        """Return whether the node answers a client; it opens its listeners last."""
        return bool(numbers(self)) and _answers(self.port, _AMQP_HEADER)

    def _environment(self) -> dict[str, str]:
        return {
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_CONF_ENV_FILE": os.devnull,  # not the settings of the system's own broker
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.home / "generated"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(self.home / "plugins"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "ERL_EPMD_PORT": str(self.name_service_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            # Schedulers tied to cores would queue behind those of the next stack on the same cores.
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            # The script then becomes the server instead of waiting for it, as under systemd: signals reach the node.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


def server_program() -> str | None:
    """Return the server's own script: Debian's wrapper on the PATH requires the system's account and folders."""
    return str(_DEBIAN) if _DEBIAN.exists() else shutil.which("rabbitmq-server")


def _answers(port: int, question: bytes) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.settimeout(1)
            connection.sendall(question)
            return not question or connection.recv(1) == b"\x01"
    except OSError:
        return False
