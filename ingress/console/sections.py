"""What is a section of the console? A title in the menu, its pages and acts, and who may use each."""

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
    """None: for those who are not logged in, too."""


def page(path: str, handler: Handler, *, needs: Role | None = Role.VIEWER) -> Route:
    """What reads; it changes nothing."""
    return Route("GET", path, handler, needs)


def act(path: str, handler: Handler, *, needs: Role | None = Role.OPERATOR) -> Route:
    """What changes something: reached by a form alone, audited by what it calls."""
    return Route("POST", path, handler, needs)


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    path: str
    """Of its first page; the menu marks the section of every address below it."""
    routes: Sequence[Route]
    needs: Role = Role.VIEWER
    """Who finds it in the menu."""
    is_in_menu: bool = True

    def holds(self, path: str) -> bool:
        return path == self.path or (self.path != "/" and path.startswith(f"{self.path}/"))
