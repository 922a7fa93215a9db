"""May this process listen there? One clear answer instead of an errno."""

import errno
import socket

from shared.errors import KessaiError

BACKLOG = 1024


class CannotListen(KessaiError):
    """A host and port that this process cannot listen on, and why."""


def bind(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A bound TCP socket, not yet listening; port 0 picks a free one.

    `reuse_port` lets sibling processes share the port. Raises CannotListen.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {_why(error)}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise CannotListen(f"cannot listen on {host}:{port}: {_why(error)}") from error
    return bound


def require_free(host: str, port: int) -> None:
    """Raises CannotListen when anyone listens there already, one that shares its port included."""
    if port:
        bind(host, port).close()


def port_of(bound: socket.socket) -> int:
    port: int = bound.getsockname()[1]
    return port


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop what listens there or choose another"
    if error.errno == errno.EACCES:
        return "permission denied; ports below 1024 need a privilege, choose a higher one"
    if isinstance(error, socket.gaierror):
        return "the host name does not resolve"
    return error.strerror or type(error).__name__
