"""The file that a stack keeps between two commands: its ports, its password and the folder of its data."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.local.errors import LocalStackError
from deploy.local.ports import free_ports

FILE = "stack.json"


@dataclass(frozen=True, slots=True)
class State:
    home: str
    """Folder of the data; elsewhere than the stack's folder when the servers' accounts may not enter that."""
    password: str
    """Password of the user `kessai` in both servers."""
    postgres_port: int
    amqp_port: int
    distribution_port: int
    name_service_port: int


def fresh(home: Path) -> State:
    postgres, amqp, distribution, name_service = free_ports(4)
    return State(
        home=str(home),
        password=secrets.token_urlsafe(18),
        postgres_port=postgres,
        amqp_port=amqp,
        distribution_port=distribution,
        name_service_port=name_service,
    )


def load(folder: Path) -> State | None:
    """Return None when no stack was started in this folder."""
    path = folder / FILE
    try:
        return State(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except PermissionError:
        raise LocalStackError(
            f"{path} belongs to another user: run as that user, or name another folder in KESSAI_LOCAL_DIR"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise LocalStackError(
            f"{path} is not readable ({error}): run `kessai local down --wipe` to start again"
        ) from None


def save(folder: Path, state: State) -> None:
    """Replace the file in one step; it holds a password, so only its owner may read it."""
    draft = folder / f"{FILE}.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=2)
    draft.replace(folder / FILE)
