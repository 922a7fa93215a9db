"""Who is asking? By a session of our own, or by the headers of a proxy that is believed."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from ingress.console.access.requests import Frontier
from shared.ledger import sessions, users
from shared.ledger.database import Connection
from shared.ledger.names import NAME
from shared.ledger.roles import Role
from shared.ledger.sessions import Terms

USER_HEADER, GROUPS_HEADER = "X-Forwarded-User", "X-Forwarded-Groups"


@dataclass(frozen=True, slots=True)
class Visitor:
    name: str
    role: Role
    session: str | None
    """The token, when it is a session of ours that vouches."""

    @property
    def actor(self) -> str:
        """As the audit names this person."""
        return users.subject(self.name)


@dataclass(frozen=True, slots=True)
class Vouched:
    """A person whom the proxy names, and why not, when that person may not come in."""

    name: str
    role: Role | None
    refused_because: str | None = None


@dataclass(frozen=True, slots=True)
class Reception:
    frontier: Frontier
    roles: Mapping[str, Role]
    """Of the groups that a proxy may name."""
    terms: Terms

    async def visitor(self, connection: Connection, token: str | None) -> Visitor | None:
        """Whom our own session vouches for."""
        if token is None:
            return None
        holder = await sessions.holder_of(connection, token, terms=self.terms)
        return None if holder is None else Visitor(holder.name, holder.role, token)

    async def vouched(self, request: web.BaseRequest, connection: Connection) -> Vouched | None:
        """Whom the proxy names; None when it names nobody, or is none of ours."""
        names = request.headers.getall(USER_HEADER, [])
        if not names or not self.frontier.is_proxied(request):
            return None
        name = names[0].strip().lower()  # a directory that ignores case lets one person in under many names
        if len(names) > 1 or not NAME.fullmatch(name):
            return Vouched("", None, f"the proxy sent an {USER_HEADER} that names no user")
        known = await users.credentials(connection, name)
        if known is not None and known.is_disabled:
            return Vouched(name, None, f"{name} is disabled here: ask an admin")
        role = self._role_of(request.headers.getall(GROUPS_HEADER, []))
        if role is None and known is not None:
            role = known.role
        if role is None:
            return Vouched(name, None, f"{name} is in no group that has a role here: ask an admin")
        return Vouched(name, role)

    def _role_of(self, lines: list[str]) -> Role | None:
        """The highest role of any group named."""
        groups = {group.strip() for line in lines for group in line.split(",")}
        granted = [role for group, role in self.roles.items() if group in groups]
        return max(granted, key=list(Role).index, default=None)
