"""What does deploy/compose.yaml say of each service?"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.integration.deploy.dockerfile import REPOSITORY

COMPOSE_FILE = REPOSITORY / "deploy" / "compose.yaml"
ENV_EXAMPLE = REPOSITORY / "deploy" / ".env.example"
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: tuple[str, ...]
    """Where each stands below /run/secrets, by name."""
    replicas: int
    healthcheck: tuple[str, ...]
    grace: int
    """Seconds between SIGTERM and SIGKILL."""
    waits_for: Mapping[str, str] = field(hash=False)
    """The condition for each service that must come first."""
    raw: Mapping[str, Any] = field(hash=False, repr=False)

    @property
    def is_kessai(self) -> bool:
        return self.image.startswith("kessai:")

    @property
    def is_one_shot(self) -> bool:
        return bool(self.raw["restart"] == "no")


def document() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))
    return parsed


def services() -> dict[str, Service]:
    return {name: _service(name, raw) for name, raw in document()["services"].items()}


def kessai_services() -> list[Service]:
    return [service for service in services().values() if service.is_kessai]


def env_example(*, commented: bool = False) -> dict[str, str]:
    """The variables of .env.example; with those that are commented out when asked for."""
    pattern = r"^#?([A-Z][A-Z0-9_]*)=(.*)$" if commented else r"^([A-Z][A-Z0-9_]*)=(.*)$"
    return dict(re.findall(pattern, ENV_EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))


def seconds(duration: str) -> int:
    return int(duration[:-1]) * _UNITS[duration[-1]]


def _service(name: str, raw: Mapping[str, Any]) -> Service:
    return Service(
        name=name,
        image=raw["image"],
        command=tuple(raw.get("command", ())),
        environment=raw.get("environment", {}),
        secrets=tuple(secret for secret in raw.get("secrets", ()) if isinstance(secret, str)),
        replicas=raw["deploy"].get("replicas", 1),
        healthcheck=tuple(raw.get("healthcheck", {}).get("test", ())),
        grace=seconds(raw["stop_grace_period"]),
        waits_for={other: how["condition"] for other, how in raw.get("depends_on", {}).items()},
        raw=raw,
    )
