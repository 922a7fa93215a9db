"""Is that the name of an endpoint, and of one that is known here?"""

import typer

from deploy.cli.show import say


def require_name(endpoint: str, *, unknown: str) -> None:
    """Tell what follows for an endpoint that is not configured here; another machine may know it.

    Raises BadParameter.
    """
    from shared.endpoint_tables import ENDPOINT_NAME
    from shared.settings import Settings

    if not ENDPOINT_NAME.fullmatch(endpoint):
        raise typer.BadParameter(f"{endpoint[:64]!r} is no name of an endpoint: a-z, 0-9, - and _, at most 64")
    if endpoint not in Settings.from_env().shops():
        say(f"kessai: note: no endpoint {endpoint!r} is configured here, {unknown}")
