"""A section of the console: its title in the menu, its pages and acts, and the role that each needs."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from ingress.console.visit import Visit
from shared.ledger.roles import Role

Handler = Callable[[Visit], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    handler: Handler
    needs: Role | None
    """The role it needs; None: no login is needed."""


def page(path: str, handler: Handler, *, needs: Role | None = Role.VIEWER) -> Route:
    """A route that only reads."""
    return Route("GET", path, handler, needs)


def act(path: str, handler: Handler, *, needs: Role | None = Role.OPERATOR) -> Route:
    """A route that changes something. Only a form reaches it, and what it calls writes the audit."""
    return Route("POST", path, handler, needs)


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    path: str
    """The path of its first page; the menu marks the section on every page below it."""
    routes: Sequence[Route]
    needs: Role = Role.VIEWER
    """The role that sees it in the menu."""
    is_in_menu: bool = True

    def holds(self, path: str) -> bool:
        return path == self.path or (self.path != "/" and path.startswith(f"{self.path}/"))
