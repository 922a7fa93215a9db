"""Finds loopback ports that are free, and that stay free while a server restarts."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path

from deploy.local.errors import LocalStackError

LOOPBACK = "127.0.0.1"
_LOWEST = 15000


def free_ports(count: int) -> list[int]:
    """Return distinct free ports below the range that the system uses for outgoing connections.

    Any client could take a port of that range while its server restarts, and a client that connects to it meanwhile
    could be connected to itself.
    """
    with ExitStack() as held:
        found: list[int] = []
        candidates = list(range(_LOWEST, _first_outgoing_port()))
        random.shuffle(candidates)
        for port in candidates:
            listener = held.enter_context(socket.socket())
            if _bound(listener, port):
                found.append(port)
            if len(found) == count:
                return found
    raise LocalStackError(f"fewer than {count} free loopback ports between {_LOWEST} and {_first_outgoing_port()}")


def is_free(port: int) -> bool:
    with socket.socket() as listener:
        return _bound(listener, port)


def _bound(listener: socket.socket, port: int) -> bool:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError:
        return False
    return True


def _first_outgoing_port() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 32768
    return first if first > _LOWEST + 1000 else 65000
