"""Where a request comes from: as far as proxies of ours say so, and not a step further."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any, cast

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from ingress.console.access.origins import OriginPolicy

ORIGINS = OriginPolicy(
    proxies=(ip_network("10.0.0.7"),), tls_proxies=(ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
)


def client(peer: str, *forwarded_for: str, origins: OriginPolicy = ORIGINS) -> str:
    """As whom the origins counts a request of this peer, with so many lines of X-Forwarded-For."""
    return origins.client_of(request(peer, [("X-Forwarded-For", line) for line in forwarded_for]))


def request(peer: str, headers: Sequence[tuple[str, str]]) -> Any:  # noqa: ANN401 - aiohttp's own
    made = make_mocked_request("GET", "/", headers=CIMultiDict(headers))
    cast("Any", made.transport).get_extra_info.side_effect = lambda name: (peer, 1) if name == "peername" else None
    return made


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "counted"),
    [
        ("10.1.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.7", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # what stands left of a stranger, the stranger said
        ("10.1.0.1", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),  # some proxies add a line of their own
        ("10.1.0.1", ["203.0.113.9, 10.1.0.2, 10.0.0.7"], "203.0.113.9"),
        ("10.1.0.1", ["10.1.0.3, 10.1.0.2"], "10.1.0.3"),
        ("10.1.0.1", [], "10.1.0.1"),
        ("10.1.0.1", ["203.0.113.9, unknown"], "10.1.0.1"),
        ("::ffff:10.1.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),  # one stranger has all of them
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
    ],
)
def test_a_stranger_is_the_nearest_address_that_is_no_proxy_of_ours(
    peer: str, forwarded_for: list[str], counted: str
) -> None:
    assert client(peer, *forwarded_for) == counted


def test_without_proxies_nobody_is_believed() -> None:
    assert client("10.1.0.1", "203.0.113.9", origins=OriginPolicy()) == "10.1.0.1"


def test_a_proxy_that_ends_tls_vouches_for_nobody() -> None:
    assert not ORIGINS.is_proxied(request("10.1.0.1", []))
    assert ORIGINS.is_proxied(request("10.0.0.7", []))
    forged = request("10.1.0.1", [("X-Forwarded-Proto", "https")])
    assert not ORIGINS.is_https(forged)
