"""`kessai console`: the pages of the people who run Kessai."""

from typing import Annotated

import typer

from deploy.cli.options import AdminHost, AdminPort

Host = Annotated[str, typer.Option(help="Address to serve at, in plain HTTP: put a proxy with TLS in front of it.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to serve at; 0 picks a free one.")]


def console(
    host: Host = "127.0.0.1", port: Port = 8070, admin_host: AdminHost = "127.0.0.1", admin_port: AdminPort = 9070
) -> None:
    """Serve the console to operators' browsers; `kessai users add` creates an account for it."""
    from ingress.console.app import run
    from ingress.serving import ListenAddress
    from shared.settings import Settings

    address = ListenAddress(host=host, port=port, admin_host=admin_host, admin_port=admin_port)
    run(Settings.from_env(), address)
