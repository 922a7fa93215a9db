"""Asks Kessai and the official tool the same, each as a program of its own."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.programs import KESSAI, clean_environment

OFFICIAL = (sys.executable, "-m", "siglume_direct_request_payment._cli", "readiness")


@dataclass(frozen=True, slots=True)
class Told:
    code: int
    text: str
    """Everything it wrote."""
    ok: bool
    checks: tuple[dict[str, Any], ...]

    @property
    def statuses(self) -> dict[str, str]:
        """Of the checks that both tools have, in their order."""
        return {each["name"]: each["status"] for each in self.checks if not each["name"].startswith("kessai_")}

    @property
    def failed(self) -> dict[str, str]:
        """The message of each of them that failed."""
        return {each["name"]: each["message"] for each in self.checks if self.statuses.get(each["name"]) == "fail"}


async def kessai(environment: Mapping[str, str], *arguments: str) -> Told:
    return await ask((str(KESSAI), "readiness"), environment, *arguments)


async def official(environment: Mapping[str, str], *arguments: str) -> Told:
    return await ask(OFFICIAL, environment, *arguments)


async def ask(program: tuple[str, ...], environment: Mapping[str, str], *arguments: str) -> Told:
    process = await asyncio.create_subprocess_exec(
        *(*program, *arguments, "--json"),
        env=clean_environment() | dict(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    text = out.decode() + err.decode()
    assert out, text
    said = json.loads(out)
    assert said.keys() == {"ok", "checks"}
    assert all(each.keys() == {"name", "status", "message"} for each in said["checks"])
    return Told(process.returncode or 0, text, said["ok"], tuple(said["checks"]))
