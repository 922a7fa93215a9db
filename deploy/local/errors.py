"""The errors of a private stack."""

from collections.abc import Sequence
from pathlib import Path

from shared.errors import KessaiError


class LocalStackError(KessaiError):
    """The private Postgres or RabbitMQ cannot do what the command requires."""


class ProgramsMissing(LocalStackError):
    """The programs of a server are not installed on this machine."""

    def __init__(self, programs: Sequence[str]) -> None:
        super().__init__(
            f"not installed on this machine: {', '.join(programs)}; on Debian or Ubuntu run "
            "`apt-get install postgresql rabbitmq-server python3-venv`, elsewhere use the containers of "
            "deploy/compose.yaml, or point KESSAI_DATABASE_URL and KESSAI_AMQP_URL at servers you have"
        )


class ServiceFailed(LocalStackError):
    """A server ended or hung while it was starting."""

    def __init__(self, service: str, what: str, log: Path) -> None:
        super().__init__(f"{service} {what}; its log {log} ends with: {_last_line(log)}")


def _last_line(log: Path) -> str:
    """Return the last line with letters in it, so that the message stays one line."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "(nothing)"
    readable = [line.strip() for line in lines if any(character.isalpha() for character in line)]
    return readable[-1] if readable else "(nothing)"
