"""`kessai topology`: the exchanges and queues that Kessai needs in RabbitMQ."""

import typer

app = typer.Typer(
    name="topology",
    help="Create or verify the exchanges and queues that Kessai needs in RabbitMQ.",
    no_args_is_help=True,
)


@app.command()
def apply() -> None:
    """Create the exchanges and queues that are missing.

    Exit code 1 when one exists in another form: it is named and left unchanged.
    """
    import asyncio

    from shared.broker import topology

    asyncio.run(topology.declare(_amqp_url()))
    typer.echo(f"RabbitMQ has {_whole()}")


@app.command()
def verify() -> None:
    """Check that every exchange and queue exists in the form needed; create nothing.

    Exit code 1 when one is missing or has another form.
    """
    import asyncio

    from shared.broker import topology

    asyncio.run(topology.verify(_amqp_url()))
    typer.echo(f"RabbitMQ has {_whole()}, each in the form needed")


def _amqp_url() -> str:
    from shared.settings import Settings

    return Settings.from_env().require_amqp_url()


def _whole() -> str:
    from shared.broker.topology import KESSAI

    return f"the {len(KESSAI.exchanges)} exchanges and {len(KESSAI.queues)} queues of Kessai"
