"""Who sent a request? A session of the console says it, or the headers of a trusted proxy."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from ingress.console.access.origins import OriginPolicy
from shared.ledger import sessions, users
from shared.ledger.database import Connection
from shared.ledger.names import NAME
from shared.ledger.roles import Role
from shared.ledger.sessions import Terms

USER_HEADER, GROUPS_HEADER = "X-Forwarded-User", "X-Forwarded-Groups"


@dataclass(frozen=True, slots=True)
class CurrentUser:
    name: str
    role: Role
    session: str | None
    """The token of the session; None when a proxy named the user."""

    @property
    def actor(self) -> str:
        """As the audit names this user."""
        return users.subject(self.name)


@dataclass(frozen=True, slots=True)
class ProxyIdentity:
    """A user whom a trusted proxy names, and why they have no access when they have none."""

    name: str
    role: Role | None
    refused_because: str | None = None


@dataclass(frozen=True, slots=True)
class Authenticator:
    origins: OriginPolicy
    roles: Mapping[str, Role]
    """The role of each group that a proxy may name."""
    session_terms: Terms

    async def session_user(self, connection: Connection, token: str | None) -> CurrentUser | None:
        """The user of the session with this token; None when there is none."""
        if token is None:
            return None
        holder = await sessions.holder_of(connection, token, terms=self.session_terms)
        return None if holder is None else CurrentUser(holder.name, holder.role, token)

    async def proxy_identity(self, request: web.BaseRequest, connection: Connection) -> ProxyIdentity | None:
        """The user whom the proxy names; None when it names nobody, or is not trusted."""
        names = request.headers.getall(USER_HEADER, [])
        if not names or not self.origins.is_proxied(request):
            return None
        name = names[0].strip().lower()  # some directories ignore case: one person must have one name
        if len(names) > 1 or not NAME.fullmatch(name):
            return ProxyIdentity("", None, f"the proxy sent an {USER_HEADER} that names no user")
        known = await users.credentials(connection, name)
        if known is not None and known.is_disabled:
            return ProxyIdentity(name, None, f"{name} is disabled in this console: ask an admin")
        role = self._role_of(request.headers.getall(GROUPS_HEADER, []))
        if role is None and known is not None:
            role = known.role
        if role is None:
            return ProxyIdentity(name, None, f"{name} is in no group that has a role in this console: ask an admin")
        return ProxyIdentity(name, role)

    def _role_of(self, lines: list[str]) -> Role | None:
        """The highest role of the groups in these header lines."""
        groups = {group.strip() for line in lines for group in line.split(",")}
        granted = [role for group, role in self.roles.items() if group in groups]
        return max(granted, key=list(Role).index, default=None)
