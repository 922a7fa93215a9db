"""`kessai worker`: what consumes the queues and relays the facts."""

from typing import Annotated

import typer

ALL = "all"
ROLES = ("confirmations", "dead-letters", "outbox", "reviews")

Roles = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ROLE...", help=f"{', '.join(ROLES)}, or {ALL} of them in one process, as when none is named."
    ),
]
AdminHost = Annotated[str, typer.Option(help="Address of /livez, /readyz and /metrics.")]
AdminPort = Annotated[int, typer.Option(min=0, max=65535, help="Their port; 0 picks a free one.")]


def worker(roles: Roles = None, admin_host: AdminHost = "127.0.0.1", admin_port: AdminPort = 9090) -> None:
    """Consume confirmations, archive dead letters, relay committed facts, ask the platform about reviews."""
    from shared.settings import Settings
    from workers.run import Admin, RoleName, run

    roles = roles or [ALL]
    unknown = [role for role in roles if role not in (*ROLES, ALL)]
    if unknown:
        raise typer.BadParameter(f"no role {unknown[0]!r}: choose from {', '.join((*ROLES, ALL))}")
    chosen = ROLES if ALL in roles else tuple(dict.fromkeys(roles))
    run(Settings.from_env(), [RoleName(role) for role in chosen], Admin(admin_host, admin_port))
