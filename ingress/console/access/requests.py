"""Where does a request come from, and may it change anything? What its headers say, and whose word counts."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from aiohttp import web
from yarl import URL

Network = IPv4Network | IPv6Network

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Frontier:
    """Whose word about a request counts, and under which names the console is known."""

    proxies: Sequence[Network] = ()
    """Addresses whose X-Forwarded-* headers are believed."""
    origin: URL | None = None
    """How browsers reach the console, as in https://kessai.example.com."""
    is_loopback: bool = True

    def is_proxied(self, request: web.BaseRequest) -> bool:
        peer = peer_of(request)
        if peer is None or not self.proxies:
            return False
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.proxies)

    def client_of(self, request: web.BaseRequest) -> str:
        """The address that failures are counted by."""
        if self.is_proxied(request):
            nearest = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
            return nearest[:64] or peer_of(request) or "-"
        return peer_of(request) or "-"

    def is_https(self, request: web.BaseRequest) -> bool:
        if self.origin is not None and self.origin.scheme == "https":
            return True
        if self.is_proxied(request):
            return request.headers.get("X-Forwarded-Proto", "") == "https"
        return request.secure

    def knows_host(self, request: web.BaseRequest) -> bool:
        """A name that resolves to our loopback address may be anybody's: its pages must not reach ours."""
        if self.origin is None and not self.is_loopback:
            return True
        host = host_of(request)
        return host in LOOPBACK_HOSTS or (self.origin is not None and host == self.origin.host)

    def comes_from_elsewhere(self, request: web.BaseRequest) -> bool:
        """Whether the browser says that another site made it send this."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            return True
        origin = request.headers.get("Origin")
        if origin is None or (self.origin is not None and origin == str(self.origin.origin())):
            return False
        return origin.partition("://")[2] != request.headers.get("Host", "")


def peer_of(request: web.BaseRequest) -> str | None:
    """The address at the other end of the connection, whatever headers say."""
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(name[0]) if isinstance(name, tuple) else None


def host_of(request: web.BaseRequest) -> str | None:
    try:
        return URL(f"//{request.headers.get('Host', '')}").host
    except ValueError:
        return None


def form_token(secret: str) -> str:
    """What a form must bring back: only who holds the cookie's secret could have been given it."""
    return hmac.new(secret.encode("utf-8", "surrogateescape"), b"kessai form", hashlib.sha256).hexdigest()


def is_form_token(given: object, secret: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "replace"), form_token(secret).encode())
