"""How does a command control a running sandbox?"""

import asyncio
from typing import Any

import aiohttp

from deploy.local.ports import LOOPBACK
from shared.errors import KessaiError

Body = dict[str, object]

PATIENCE = aiohttp.ClientTimeout(total=None, connect=5)
"""There is no total timeout: advancing a year takes as long as its webhooks take."""


class SandboxAway(KessaiError):
    """No server answers where a sandbox should run, or it is something else."""


class SandboxRefused(KessaiError):
    """The sandbox refuses the request."""


def ask(port: int, method: str, path: str, body: Body | None = None) -> dict[str, Any]:
    """What the sandbox on that port answers. Raises SandboxAway or SandboxRefused."""
    return asyncio.run(_ask(f"http://{LOOPBACK}:{port}", method, path, body))


async def _ask(root_url: str, method: str, path: str, body: Body | None) -> dict[str, Any]:
    try:
        async with (
            aiohttp.ClientSession(timeout=PATIENCE) as session,
            session.request(method, f"{root_url}/sandbox{path}", json=body) as answer,
        ):
            found = await answer.json()
    except (aiohttp.ClientConnectionError, TimeoutError):
        raise SandboxAway(f"no sandbox runs at {root_url}: start one with `kessai sandbox`") from None
    except (aiohttp.ClientError, ValueError):
        found = None
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        raise SandboxRefused(str(found["error"].get("message")))
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(data, dict):
        raise SandboxAway(f"what answers at {root_url} is no sandbox: choose another --port")
    return data
