"""How many connections can this process hold? Each is an open file, and the system limits their number."""

import resource
from typing import Final

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.ingress")

OTHER_FILES: Final = 256
"""Files that are no webhook connection: RabbitMQ's socket, the admin port's, and connections about to be refused."""


def connections_that_fit(wanted: int) -> int:
    """Raise the soft limit of open files for `wanted` connections; return how many of them the hard limit allows.

    Beyond the limit the system would reset every new connection, those to /livez and /readyz included, without a line
    in the log.
    """
    needed = wanted + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _allows(soft, needed):
        return wanted
    raised = needed if _allows(hard, needed) else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    fitting = max(1, min(wanted, raised - OTHER_FILES))
    if fitting < wanted:
        log.warning(
            "ingress.fewer_connections",
            max_connections=fitting,
            wanted=wanted,
            open_files=hard,
            advice=f"allow {needed} open files (nofile of compose.yaml, LimitNOFILE of systemd, ulimit -Hn), or lower "
            "KESSAI_MAX_CONNECTIONS",
        )
    return fitting


def _allows(limit: int, files: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= files
