"""`kessai console`: the pages of those who run Kessai."""

from typing import Annotated

import typer

Host = Annotated[str, typer.Option(help="Address to serve pages at; plain HTTP, so put TLS in front of it.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to serve pages at; 0 picks a free one.")]
AdminHost = Annotated[str, typer.Option(help="Address of /livez, /readyz and /metrics.")]
AdminPort = Annotated[int, typer.Option(min=0, max=65535, help="Their port; 0 picks a free one.")]


def console(
    host: Host = "127.0.0.1", port: Port = 8070, admin_host: AdminHost = "127.0.0.1", admin_port: AdminPort = 9070
) -> None:
    """Serve the operators' pages; `kessai users add` lets somebody in."""
    from ingress.console.app import run
    from ingress.serving import ListenAddress
    from shared.settings import Settings

    address = ListenAddress(host=host, port=port, admin_host=admin_host, admin_port=admin_port)
    run(Settings.from_env(), address)
