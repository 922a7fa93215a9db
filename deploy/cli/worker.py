"""`kessai worker`: the program that consumes the queues and publishes the facts."""

from typing import Annotated

import typer

from deploy.cli.options import AdminHost, AdminPort

ALL = "all"
ROLES = ("confirmations", "dead-letters", "outbox", "reviews", "reconcile")

Roles = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ROLE",
        help=f"Any of {', '.join(ROLES)}; or {ALL}, which is the default and runs every role that the settings allow: "
        "reconcile needs a token of Siglume.",
    ),
]


def worker(roles: Roles = None, admin_host: AdminHost = "127.0.0.1", admin_port: AdminPort = 9090) -> None:
    """Run roles: apply confirmations, archive and replay dead letters, publish facts, collect evidence, reconcile."""
    from shared.settings import Settings
    from workers.run import Admin, RoleName, roles_for, run

    roles = roles or [ALL]
    unknown = [role for role in roles if role not in (*ROLES, ALL)]
    if unknown:
        raise typer.BadParameter(f"no role {unknown[0]!r}: choose from {', '.join((*ROLES, ALL))}")
    settings = Settings.from_env()
    chosen = roles_for(settings) if ALL in roles else [RoleName(role) for role in dict.fromkeys(roles)]
    run(settings, chosen, Admin(admin_host, admin_port))
