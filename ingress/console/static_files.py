"""The static files of the console. They are read once and named by their content, so that browsers may cache them."""

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Final

from aiohttp import web

TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class StaticFiles:
    def __init__(self) -> None:
        folder = resources.files("ingress.console") / "static"
        self._files: Mapping[str, bytes] = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}

    def address(self, name: str) -> str:
        """The address of a file. Raises KeyError when it does not exist."""
        return f"/static/{hashlib.sha256(self._files[name]).hexdigest()[:16]}/{name}"

    async def serve(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._files or self.address(name) != request.path:
            raise web.HTTPNotFound
        suffix = name[name.rfind(".") :]
        return web.Response(
            body=self._files[name],
            content_type=TYPES[suffix],
            charset="utf-8",
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )
