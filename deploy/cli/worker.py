"""`kessai worker`: what consumes the queues and relays the facts."""

from typing import Annotated

import typer

ALL = "all"
ROLES = ("confirmations", "dead-letters", "outbox", "reviews", "reconcile")

Roles = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ROLE...",
        help=f"{', '.join(ROLES)}, or {ALL} of them in one process, as when none is named; {ALL} leaves out reconcile"
        " while no token of Siglume is set.",
    ),
]
AdminHost = Annotated[str, typer.Option(help="Address of /livez, /readyz and /metrics.")]
AdminPort = Annotated[int, typer.Option(min=0, max=65535, help="Their port; 0 picks a free one.")]


def worker(roles: Roles = None, admin_host: AdminHost = "127.0.0.1", admin_port: AdminPort = 9090) -> None:
    """Consume confirmations, archive dead letters, relay facts, ask the platform about reviews, compare statements."""
    from shared.settings import Settings
    from workers.run import Admin, RoleName, roles_for, run

    roles = roles or [ALL]
    unknown = [role for role in roles if role not in (*ROLES, ALL)]
    if unknown:
        raise typer.BadParameter(f"no role {unknown[0]!r}: choose from {', '.join((*ROLES, ALL))}")
    settings = Settings.from_env()
    chosen = roles_for(settings) if ALL in roles else [RoleName(role) for role in dict.fromkeys(roles)]
    run(settings, chosen, Admin(admin_host, admin_port))
