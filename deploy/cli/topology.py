"""`kessai topology`: the exchanges and queues that Kessai needs in RabbitMQ."""

import typer

app = typer.Typer(name="topology", help="The exchanges and queues that Kessai needs in RabbitMQ.", no_args_is_help=True)


@app.command()
def apply() -> None:
    """Create what is missing; what is there in another form is named and left alone."""
    import asyncio

    from shared.broker import topology

    asyncio.run(topology.declare(_amqp_url()))
    typer.echo(f"RabbitMQ has {_whole()}")


@app.command()
def verify() -> None:
    """Tell whether everything is there in the form needed; creates nothing."""
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
