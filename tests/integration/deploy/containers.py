"""A service of deploy/compose.yaml as a plain process: its very command and health check, on ports of this machine."""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from deploy.local.ports import free_ports
from tests.integration.deploy.compose_file import Service, env_example
from tests.integration.deploy.image import Image

HEALTHY_WITHIN = 40.0
"""Seconds that a service may take on two busy cores."""
SHOP = {"SIGLUME_DIRECT_PAYMENT_MERCHANT": "my-shop"}
"""What deploy/.env says beside the defaults."""
_SECRETS = "/run/secrets/"
_PORT_OPTIONS = ("--port", "--admin-port")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where containers run for a test."""

    image: Image
    folder: Path
    secrets: Mapping[str, str]
    """Every secret of the compose file by name; a service gets those that it is granted."""
    wrapper: tuple[str, ...] = ()
    """A command that runs another one in narrower circumstances."""


@dataclass(slots=True)
class Container:
    service: Service
    process: subprocess.Popen[bytes]
    ports: Mapping[str, str]
    """The port on this machine for each port that the command names."""
    environment: Mapping[str, str]
    log: Path

    def is_healthy(self) -> bool:
        """Run the service's health check as an engine does."""
        kind, *check = self.service.healthcheck
        assert kind == "CMD"
        argv = [_mapped(word, self.ports) for word in check]
        return subprocess.run(argv, env=self.environment, cwd="/", capture_output=True, check=False).returncode == 0

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + HEALTHY_WITHIN
        while not self.is_healthy():
            assert self.process.poll() is None, f"{self.service.name} ended while starting:\n{self.output()}"
            assert time.monotonic() < deadline, f"{self.service.name} is not healthy:\n{self.output()}"
            time.sleep(0.2)

    def stop(self) -> int:
        """SIGTERM, and SIGKILL after the grace period, as an engine does; the exit code."""
        self.begin_stop()
        return self.end_stop()

    def begin_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end_stop(self) -> int:
        try:
            return self.process.wait(self.service.grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def running(machine: Machine, service: Service) -> Iterator[Container]:
    """One container of a service; killed at the end if it still runs."""
    container = _start(machine, service)
    try:
        yield container
    finally:
        if container.process.poll() is None:
            container.process.kill()
            container.process.wait()


def run_to_end(machine: Machine, service: Service) -> Container:
    with running(machine, service) as container:
        container.process.wait(60)
        return container


def _start(machine: Machine, service: Service) -> Container:
    folder = machine.folder / f"{service.name}-{time.monotonic_ns()}"
    folder.mkdir()
    environment = machine.image.environment() | env_example() | SHOP | _environment(machine, service, folder)
    ports = _ports(service.command)
    log = folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*machine.wrapper, *machine.image.argv([ports.get(word, word) for word in service.command])],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    return Container(service, process, ports, environment, log)


def _environment(machine: Machine, service: Service, folder: Path) -> dict[str, str]:
    for name in service.secrets:
        (folder / name).write_text(machine.secrets[name] + "\n", encoding="utf-8")
    return {name: value.replace(_SECRETS, f"{folder}/") for name, value in service.environment.items()}


def _ports(command: Sequence[str]) -> dict[str, str]:
    named = [value for option, value in pairwise(command) if option in _PORT_OPTIONS]
    here = free_ports(len(named)) if named else []
    return {port: str(free) for port, free in zip(named, here, strict=True)}


def _mapped(text: str, ports: Mapping[str, str]) -> str:
    for port, here in ports.items():
        text = text.replace(port, here)
    return text
