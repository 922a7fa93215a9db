"""Reads the URLs of Postgres and RabbitMQ. The parameters for Postgres are those of libpq; asyncpg knows some."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlencode

from pydantic import SecretStr

from shared.errors import SettingsError

KNOWN: Final = frozenset(
    [
        "host",
        "port",
        "dbname",
        "user",
        "password",
        "passfile",
        "service",
        "options",
        "target_session_attrs",
        "krbsrvname",
        "gsslib",
        "sslmode",
        "sslcert",
        "sslkey",
        "sslrootcert",
        "sslcrl",
        "sslpassword",
        "sslnegotiation",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
    ]
)
"""Parameters that asyncpg reads, and `options`, which Postgres itself reads."""
HARMLESS: Final = frozenset(
    [
        "application_name",
        "fallback_application_name",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "sslcompression",
    ]
)
"""Parameters without which nothing but comfort is missing; Kessai names its connections itself."""
DEFAULTS: Final = {
    "channel_binding": ("prefer", "disable"),
    "gssencmode": ("prefer", "disable"),
    "client_encoding": ("utf8", "utf-8", "auto"),
    "load_balance_hosts": ("disable",),
    "replication": ("false", "off", "no", "0"),
    "sslsni": ("1",),
}
"""Values that ask for what asyncpg does anyway."""
FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
NOT_BY_SYSTEM: Final = (*FILES[1:], "sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version")
"""What asyncpg does not read where the certificates of the operating system verify the server."""


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """What asyncpg connects to."""

    url: str
    timeout: float | None
    """Seconds that a connection may take to open; None for the driver's own limit."""
    verify_by_system: bool
    """Whether the certificates of the operating system verify the server."""


def require_url(value: SecretStr | None, name: str, *, schemes: tuple[str, str]) -> str:
    """Checks what all drivers agree on; their own messages are about Python, and some contain the password."""
    url = "" if value is None else value.get_secret_value().strip()
    if not url:
        raise SettingsError(f'{name} is not set: set it, or start a private stack and run eval "$(kessai local env)"')
    scheme, colon, rest = url.partition("://")
    if scheme not in schemes or not colon:
        raise SettingsError(f"{name} must begin with {schemes[0]}://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" in rest and "@" not in authority:
        raise SettingsError(f"{name}: write / ? # in the user name or the password as %2F %3F %23")
    hosts = authority.rpartition("@")[2]
    if scheme.startswith("amqp") and "," in hosts:
        raise SettingsError(f"{name} must name one host: name a load balancer, or a DNS name of all nodes")
    for host in hosts.split(","):  # Postgres takes several
        port = host.rpartition("]")[2].partition(":")[2]
        if not re.fullmatch("[0-9]*", port) or (port and not 1 <= int(port) <= 65535):
            raise SettingsError(f"{name}: the port must be a number from 1 to 65535, not {port!r}")
    if scheme.startswith("amqp") and not hosts.partition(":")[0]:
        raise SettingsError(f"{name} names no host, as in amqp://host:5672/vhost")
    return url


def database_address(url: str) -> DatabaseAddress:
    """Raises SettingsError, which names the first parameter that Kessai does not support."""
    head, _, query = url.partition("?")
    given = dict(_parameters(query))
    by_system = given.get("sslrootcert") == "system"
    if by_system and given.get("sslmode", "verify-full") != "verify-full":
        raise _refused("sslrootcert=system needs sslmode=verify-full")
    kept = {name: value for name, value in given.items() if _is_for_asyncpg(name, value)}
    if by_system:
        del kept["sslrootcert"]
        unread = next((name for name in NOT_BY_SYSTEM if name in kept), None)
        if unread is not None:
            raise _refused(f"{unread} is not supported with sslrootcert=system")
    for name in FILES:
        if name in kept and not Path(kept[name]).is_file():
            raise _refused(f"{name} names {kept[name]}, which is not a readable file")
    return DatabaseAddress(
        url=f"{head}?{urlencode(kept, quote_via=quote)}" if kept else head,
        timeout=_seconds(given["connect_timeout"]) if "connect_timeout" in given else None,
        verify_by_system=by_system,
    )


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    """As libpq reads them: a plus sign is a plus sign."""
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        if pair and not equals:
            raise _refused(f"the parameter {name} has no value")
        if pair:
            yield unquote(name), unquote(value)


def _is_for_asyncpg(name: str, value: str) -> bool:
    if name in KNOWN:
        return True
    if name in HARMLESS or name == "connect_timeout" or value.lower() in DEFAULTS.get(name, ()):
        return False
    if name in DEFAULTS:
        raise _refused(f"{name}={value} is not supported: remove it, or write {name}={DEFAULTS[name][0]}")
    raise _refused(f"the parameter {name} is not supported: remove it, or set it in Postgres for the user or database")


def _seconds(text: str) -> float | None:
    if not text.strip().isdecimal():
        raise _refused(f"connect_timeout must be a whole number of seconds, not {text!r}")
    return float(text) or None


def _refused(why: str) -> SettingsError:
    return SettingsError(f"KESSAI_DATABASE_URL: {why}")
