"""`kessai ingress`: the door that takes Siglume's webhooks."""

from typing import Annotated

import typer

Host = Annotated[str, typer.Option(help="Address to take webhooks at; plain HTTP, so put TLS in front of it.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to take webhooks at; 0 picks a free one.")]
AdminHost = Annotated[str, typer.Option(help="Address of /livez, /readyz and /metrics.")]
AdminPort = Annotated[int, typer.Option(min=0, max=65535, help="Their port; process i has this port + i.")]
Processes = Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port.")]


def ingress(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    admin_host: AdminHost = "127.0.0.1",
    admin_port: AdminPort = 9080,
    processes: Processes = 1,
) -> None:
    """Take webhooks at POST /webhooks/{endpoint} and hand them to RabbitMQ. SIGHUP has it read its secrets again."""
    from ingress.webhooks.app import Listen, run
    from ingress.webhooks.processes import supervise
    from shared.settings import Settings

    settings = Settings.from_env()
    listen = Listen(host, port, admin_host, admin_port)
    if processes == 1:
        run(settings, listen)
    else:
        supervise(settings, listen, processes=processes)
