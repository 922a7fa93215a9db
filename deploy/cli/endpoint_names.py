"""Checks the name of an endpoint that a command takes."""

import typer

from deploy.cli.output import say


def require_name(endpoint: str, *, unknown: str) -> None:
    """Print a note, with the consequence `unknown`, when the endpoint is not configured on this machine.

    Raises BadParameter.
    """
    from shared.endpoint_tables import ENDPOINT_NAME
    from shared.settings import Settings

    if not ENDPOINT_NAME.fullmatch(endpoint):
        raise typer.BadParameter(f"{endpoint[:64]!r} is no name of an endpoint: a-z, 0-9, - and _, at most 64")
    if endpoint not in Settings.from_env().shops():
        say(f"kessai: note: no endpoint {endpoint!r} is configured here, {unknown}")
