"""`kessai ingress`: the server that takes Siglume's webhooks."""

from typing import Annotated

import typer

from deploy.cli.options import AdminHost

Host = Annotated[str, typer.Option(help="Address to serve at, in plain HTTP: put a proxy with TLS in front of it.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to serve at; 0 picks a free one.")]
AdminPort = Annotated[
    int,
    typer.Option(min=0, max=65535, help="Admin port; 0 picks a free one. Process i has this port + i."),
]
Processes = Annotated[int, typer.Option(min=1, max=64, help="Number of processes that share the port.")]


def ingress(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    admin_host: AdminHost = "127.0.0.1",
    admin_port: AdminPort = 9080,
    processes: Processes = 1,
) -> None:
    """Take webhooks at POST /webhooks/{endpoint} and publish them to RabbitMQ.

    SIGHUP makes it read its secrets again: the file of SIGLUME_WEBHOOK_SECRET_FILE, one secret a line, and that of
    KESSAI_CONFIG.
    """
    from ingress.webhooks.app import Listen, run
    from ingress.webhooks.processes import supervise
    from shared.settings import Settings

    settings = Settings.from_env()
    listen = Listen(host, port, admin_host, admin_port)
    if processes == 1:
        run(settings, listen)
    else:
        supervise(settings, listen, processes=processes)
