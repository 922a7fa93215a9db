"""`kessai demo`: runs the whole of Kessai for a minute on servers of its own."""

import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.options import AsJson
from deploy.cli.output import print_json, say
from shared.errors import KessaiError

if TYPE_CHECKING:
    from types import FrameType

    from deploy.showcase.result import Result

USUAL_PORT = 8080
"""`kessai send` posts to this port unless --url names another."""


class DoesNotAddUp(KessaiError):
    """The books do not hold what was sent."""


Keep = Annotated[bool, typer.Option("--keep", help="Leave everything running afterwards, so that you can inspect it.")]
Stop = Annotated[bool, typer.Option("--stop", help="Stop what --keep left running, and delete it.")]


def demo(keep: Keep = False, stop: Stop = False, as_json: AsJson = False) -> None:
    """Send 2,000 signed webhooks of every kind and fault through a private Kessai, and check that the books add up.

    It starts its own Postgres and RabbitMQ unless KESSAI_DATABASE_URL and KESSAI_AMQP_URL name some.

    Exit code 1 when a webhook did not become what it should.
    """
    from deploy.showcase import kept

    if stop:
        kept.stop(kept.folder_of())
        say("the demo is stopped, and its data is deleted")
        return
    signal.signal(signal.SIGTERM, _leave)
    _perform(keep=keep, as_json=as_json)


def _perform(*, keep: bool, as_json: bool) -> None:
    from deploy.local.ports import free_ports, is_free
    from deploy.showcase import guard, kept, setting
    from deploy.showcase.programs import Programs
    from deploy.showcase.run import Demo
    from deploy.showcase.stage import Stage
    from shared.observe import log

    log.configure(style="console", level="error")
    stage, folder = Stage(), kept.folder_of()
    if keep:
        kept.require_free(folder)
    with ExitStack() as open_until_the_end:
        with stage.step("starting Postgres and RabbitMQ", "Postgres and RabbitMQ answer"):
            place = open_until_the_end.enter_context(setting.lasting(folder) if keep else setting.passing())
            guard.require_free(place)
        programs = open_until_the_end.enter_context(Programs(place.folder, place.environment(), outlive_us=keep))
        (port,) = [USUAL_PORT] if keep and is_free(USUAL_PORT) else free_ports(1)
        demo = Demo(place, programs, stage, port=port)
        _print_result(demo.perform(), as_json=as_json, logs=place.folder)
        if keep:
            kept.remember(folder, programs.leave())
            say(kept.inspection_message(place, demo.url(setting.WEB)))


def _print_result(result: "Result", *, as_json: bool, logs: Path) -> None:
    """Raises DoesNotAddUp."""
    from deploy.showcase import report

    if as_json:
        print_json(report.as_json(result))
    else:
        report.print_report(result)
    if not result.adds_up:
        raise DoesNotAddUp(f"the books do not hold what was sent; what the programs logged is in {logs}")


def _leave(_number: int, _frame: "FrameType | None") -> None:
    """Clean up on SIGTERM as on Ctrl-C."""
    sys.exit(143)
