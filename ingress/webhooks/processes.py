"""How do several processes share one port? A parent that starts, watches, restarts and stops them.

Each child binds the port with SO_REUSEPORT and the kernel spreads connections over them. Children are fresh
interpreters, not forks: nothing of an event loop, a lock or a random state is inherited.
"""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

import structlog

from ingress.webhooks.app import Listen, require_startable
from shared.broker.backoff import Backoff
from shared.errors import KessaiError
from shared.observe import log as logging
from shared.observe.listening import bind, port_of, require_free
from shared.settings import Settings
from shared.stopping import wait_or_stop

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.ingress")

EXIT_REFUSED = 78
"""A child that cannot start as it is configured (sysexits' EX_CONFIG): starting it again could not help."""
STEADY_AFTER = 30.0
"""Seconds after which a child counts as sound, so that its next crash begins with a short wait again."""
GRACE = 5.0
"""Seconds beyond the drain time before a child is killed."""


class ChildRefused(KessaiError):
    """A child process could not start; its own log line above has the reason."""


def supervise(settings: Settings, listen: Listen, *, processes: int) -> None:
    """Run `processes` ingress processes on one port until SIGTERM or SIGINT. Child i has admin port `admin_port + i`.

    Raises KessaiError when the port is taken or a child cannot start.
    """
    require_startable(settings)
    logging.configure(style=settings.log_format, level=settings.log_level)
    logging.warn_of_unknown_settings(settings.unknown)
    require_free(listen.host, listen.port)
    # Bound but never listening: it keeps the port ours, also while every child is being restarted.
    with bind(listen.host, listen.port, reuse_port=True) as held:
        asyncio.run(_Supervisor(settings, listen, port_of(held), processes).run())


class _Supervisor:
    def __init__(self, settings: Settings, listen: Listen, port: int, processes: int) -> None:
        self._listen = listen
        self._port = port
        self._processes = processes
        self._patience = settings.drain_timeout + GRACE
        self._stop = asyncio.Event()
        self._children: set[Process] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_keys)
        log.info("ingress.supervising", processes=self._processes, host=self._listen.host, port=self._port)
        ends = await asyncio.gather(*(self._keep_running(index) for index in range(self._processes)))
        log.info("ingress.stopped", processes=self._processes)
        if EXIT_REFUSED in ends:
            raise ChildRefused("an ingress process could not start: see its line above")

    async def _keep_running(self, index: int) -> int:
        """Keep child `index` running until the stop; its last exit code."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(first=0.5, limit=30.0)
        while True:
            began = loop.time()
            code = await self._run_child(index)
            if code == EXIT_REFUSED:
                self._stop.set()
            if self._stop.is_set():
                return code
            if loop.time() - began > STEADY_AFTER:
                backoff.reset()
            wait = backoff.next()
            log.error("ingress.process_died", process=index, exit_code=code, restart_in=round(wait, 1))
            await wait_or_stop(self._stop, wait)
            if self._stop.is_set():
                return code

    async def _run_child(self, index: int) -> int:
        # A session of its own, so that a terminal's Ctrl-C reaches the parent alone; and our end of its standard
        # input, so that it stops when the parent is gone, however that went.
        child = await asyncio.create_subprocess_exec(*self._command(index), stdin=PIPE, start_new_session=True)
        self._children.add(child)
        ended = asyncio.create_task(child.wait())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            await self._end(child, ended)
        self._children.discard(child)
        return await ended

    def _reload_keys(self) -> None:
        """Each child reads its secrets again."""
        for child in self._children:
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGHUP)

    async def _end(self, child: Process, ended: asyncio.Task[int]) -> None:
        child.send_signal(signal.SIGTERM)
        done, _ = await asyncio.wait((ended,), timeout=self._patience)
        if not done:
            log.error("ingress.process_killed", pid=child.pid, after_seconds=self._patience)
            child.kill()

    def _command(self, index: int) -> list[str]:
        listen = self._listen
        admin_port = listen.admin_port + index if listen.admin_port else 0
        where = ["--host", listen.host, "--port", str(self._port)]
        admin = ["--admin-host", listen.admin_host, "--admin-port", str(admin_port)]
        return [sys.executable, "-m", "ingress.webhooks", *where, *admin]
