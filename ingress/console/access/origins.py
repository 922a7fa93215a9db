"""Where does a request come from, and may it change anything? Decided by its headers and the proxies we trust."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp import web
from yarl import URL

from shared.sdrp.api.urls import LOOPBACK_HOSTS

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """Which proxies are trusted, and under which host names the console is served."""

    proxies: Sequence[Network] = ()
    """Addresses whose X-Forwarded-* headers are trusted."""
    tls_proxies: Sequence[Network] = ()
    """Addresses of which only the X-Forwarded-For header is trusted."""
    origin: URL | None = None
    """How browsers reach the console, as in https://kessai.example.com."""
    is_loopback: bool = True

    def is_proxied(self, request: web.BaseRequest) -> bool:
        """Whether it came from a proxy that may name the user."""
        peer = _address(peer_of(request))
        return peer is not None and _is_in(peer, self.proxies)

    def client_of(self, request: web.BaseRequest) -> str:
        """The address whose failures are counted: the nearest one that is not a proxy of ours.

        Each proxy appends the address that it received the request from, so that everything left of the first address
        that is not a proxy could be forged.
        """
        peer = peer_of(request)
        client = _address(peer)
        if client is None:
            return peer or "-"
        hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        while hops and _is_in(client, (*self.proxies, *self.tls_proxies)):
            hop = _address(hops.pop().strip())
            if hop is None:
                break
            client = hop
        return _counted(client)

    def is_https(self, request: web.BaseRequest) -> bool:
        if self.origin is not None and self.origin.scheme == "https":
            return True
        if self.is_proxied(request):
            return request.headers.get("X-Forwarded-Proto", "") == "https"
        return request.secure

    def knows_host(self, request: web.BaseRequest) -> bool:
        """Whether the Host header names this console: any name may resolve to our loopback address (DNS rebinding)."""
        if self.origin is None and not self.is_loopback:
            return True
        host = host_of(request)
        return host in LOOPBACK_HOSTS or (self.origin is not None and host == self.origin.host)

    def comes_from_elsewhere(self, request: web.BaseRequest) -> bool:
        """Whether the browser says that a page of another site sent this."""
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


def _address(text: str | None) -> Address | None:
    """An IPv4 address that is mapped into IPv6 counts as the IPv4 address."""
    try:
        address = ip_address(text or "")
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _counted(address: Address) -> str:
    """What is counted as one client: of IPv6 a whole /64 network, which one client commonly has."""
    return str(address if isinstance(address, IPv4Address) else IPv6Network((int(address), 64), strict=False))


def host_of(request: web.BaseRequest) -> str | None:
    try:
        return URL(f"//{request.headers.get('Host', '')}").host
    except ValueError:
        return None


def form_token(secret: str) -> str:
    """The token that a form must send back: only the browser with the secret in its cookie was given it."""
    return hmac.new(secret.encode("utf-8", "surrogateescape"), b"kessai form", hashlib.sha256).hexdigest()


def is_form_token(given: object, secret: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "replace"), form_token(secret).encode())
