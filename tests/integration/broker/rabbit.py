"""What a test does to a broker beside Kessai's own code: look into queues, freeze the server, raise its alarms."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiormq
from aiormq.abc import AbstractChannel

from deploy.local.processes import server_environment
from deploy.local.rabbitmq import NODE, server_program
from deploy.local.service import numbers
from deploy.local.stack import Stack


@asynccontextmanager
async def channel(url: str) -> AsyncIterator[AbstractChannel]:
    connection = await aiormq.connect(url)
    try:
        yield await connection.channel()
    finally:
        await connection.close()


async def waiting(url: str, queue: str) -> int:
    """Messages in a queue that no consumer has in hand."""
    async with channel(url) as one:
        return (await one.queue_declare(queue, passive=True)).message_count or 0


async def eventually(question: Callable[[], Awaitable[bool]], *, within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not await question():
        assert time.monotonic() < deadline, f"not so within {within:g} s"
        await asyncio.sleep(0.05)


async def holds(url: str, queue: str, count: int) -> None:
    """Wait until the queue holds exactly so many messages."""

    async def so() -> bool:
        return await waiting(url, queue) == count

    await eventually(so)


@contextmanager
def frozen(stack: Stack) -> Iterator[None]:
    """The broker's processes stand still; connections stay up, and nothing is answered."""
    processes = numbers(stack.rabbitmq())
    assert processes, "the broker is not running"
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    deadline = time.monotonic() + 5
    while not all(map(_stands_still, processes)):
        assert time.monotonic() < deadline, "the broker goes on"
        time.sleep(0.001)
    try:
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _stands_still(process: int) -> bool:
    """Every thread of it: a signal takes its time to reach the last one."""
    threads = Path(f"/proc/{process}/task").glob("*/stat")
    return all(thread.read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)


def rabbitmqctl(stack: Stack, *arguments: str) -> str:
    broker = stack.rabbitmq()
    program = Path(server_program() or "").with_name("rabbitmqctl")
    environment = {"ERL_EPMD_PORT": str(broker.name_service_port), "RABBITMQ_CONF_ENV_FILE": os.devnull}
    done = subprocess.run(
        [program, "--quiet", "--node", NODE, *arguments],
        env=server_environment(broker.home, environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        user=broker.account.uid if broker.account else None,
        group=broker.account.gid if broker.account else None,
        extra_groups=[] if broker.account else None,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@asynccontextmanager
async def memory_alarm(stack: Stack) -> AsyncIterator[None]:
    """The broker takes nothing from publishers, as when it is short of memory."""
    await asyncio.to_thread(rabbitmqctl, stack, "set_vm_memory_high_watermark", "0.000001")
    try:
        yield
    finally:
        await asyncio.to_thread(rabbitmqctl, stack, "set_vm_memory_high_watermark", "0.6")
