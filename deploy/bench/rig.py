"""What does a bench run use? A private Postgres and RabbitMQ, and the real Kessai programs."""

import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from types import MappingProxyType

import psycopg
from psycopg import sql

from deploy.bench import queues, traffic
from deploy.bench.programs import free_port, running
from deploy.bench.stage import Stage
from deploy.local.stack import Stack
from deploy.local.temporary import temporary_stack
from shared.broker import topology
from shared.errors import KessaiError
from shared.ledger import migrate

ENDPOINT = "siglume"
PATH = f"/webhooks/{ENDPOINT}"
WORKER_READY_WITHIN = 60.0


class RigFailed(KessaiError):
    """What the bench started does not do what the bench needs."""


@dataclass(frozen=True, slots=True)
class Rig:
    """What every part is given: folders, the URLs of both servers, and the progress line."""

    scratch: Path
    """A folder for files that nobody needs afterwards."""
    logs: Path
    """The folder of each program's output, to be read after the run."""
    database_url: str
    amqp_url: str
    secret: str = field(repr=False)
    stage: Stage

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """The URL of an empty database with `traffic.SQL`, dropped (and its disk freed) after the block."""
        with psycopg.connect(self.database_url, autocommit=True) as admin:
            _drop(admin, name)
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        dsn = self.database_url.rpartition("/")[0] + f"/{name}"
        try:
            with psycopg.connect(dsn) as db:
                db.execute(traffic.SQL)
            yield dsn
        finally:
            with psycopg.connect(self.database_url, autocommit=True) as admin:
                _drop(admin, name)

    @contextmanager
    def books(self, name: str) -> Iterator[tuple[str, psycopg.Connection]]:
        """Fresh books, migrated, and empty queues: the database's URL and a connection to it."""
        queues.purge(self.amqp_url)
        with self.database(name) as dsn:
            migrate.upgrade(dsn)
            with psycopg.connect(dsn, autocommit=True) as db:
                yield dsn, db

    @contextmanager
    def ingress(self) -> Iterator[tuple[int, Popen[bytes]]]:
        """`kessai ingress`, one process: its port and itself."""
        port = free_port()
        argv = [*("ingress", "--host", "127.0.0.1", "--port", str(port), "--admin-port", str(free_port()))]
        with self.kessai("ingress", argv, database_url=self.database_url, port=port) as process:
            yield port, process

    @contextmanager
    def worker(self, database_url: str) -> Iterator[Popen[bytes]]:
        """`kessai worker confirmations`, one process, once it consumes."""
        argv = ["worker", "confirmations", "--admin-port", str(free_port())]
        with self.kessai("worker", argv, database_url=database_url) as process:
            deadline = time.monotonic() + WORKER_READY_WITHIN
            while queues.depth(self.amqp_url).consumers == 0:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RigFailed(f"the worker does not consume: see {self.logs / 'worker.log'}")
                time.sleep(0.1)
            yield process

    def kessai(
        self,
        name: str,
        argv: list[str],
        *,
        database_url: str,
        port: int | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> AbstractContextManager[Popen[bytes]]:
        env = {
            **settings,
            "KESSAI_DATABASE_URL": database_url,
            "KESSAI_AMQP_URL": self.amqp_url,
            "KESSAI_LOG_LEVEL": "warning",
            "SIGLUME_WEBHOOK_SECRET": self.secret,
            "SIGLUME_DIRECT_PAYMENT_MERCHANT": traffic.MERCHANT,
        }
        program = [sys.executable, "-c", "from deploy.cli.main import run; run()", *argv]
        return running(name, program, env=env, log=self.logs / f"{name}.log", port=port)


@contextmanager
def rig(stage: Stage, *, logs: Path) -> Iterator[Rig]:
    """A stack and a scratch folder of its own, gone with everything in them after the block."""
    stage.says("starting a private Postgres and RabbitMQ")
    with tempfile.TemporaryDirectory(prefix="kessai-bench-") as folder, temporary_stack() as stack:
        _keep_commit_times(stack)
        urls = stack.environment()
        amqp_url = urls["KESSAI_AMQP_URL"]
        asyncio.run(topology.declare(amqp_url))
        secret = f"whsec_{secrets.token_hex(24)}"
        yield Rig(Path(folder), logs, urls["KESSAI_DATABASE_URL"], amqp_url, secret, stage)


def _keep_commit_times(stack: Stack) -> None:
    """Postgres notes when each transaction committed: the end of the latency that the bench measures."""
    with psycopg.connect(stack.environment()["KESSAI_DATABASE_URL"], autocommit=True) as db:
        db.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    stack.restart("postgres")


def _drop(admin: psycopg.Connection, name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
