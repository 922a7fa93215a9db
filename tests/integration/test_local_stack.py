"""`kessai local`: private servers that come up anywhere, survive crashes, and leave nothing behind."""

import asyncio
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiormq
import psutil
import psycopg
import pytest

from deploy.local import postgres, rabbitmq
from deploy.local.errors import ProgramsMissing
from deploy.local.ports import LOOPBACK
from deploy.local.stack import Stack
from tests.programs import KESSAI, Kessai, Ran, clean_environment

SERVERS = {"postgres", "initdb", "beam.smp", "epmd", "erl_child_setup", "inet_gethost", "rabbitmq-server"}
ELSEWHERE = Path("/var/tmp")  # noqa: S108 - looked at, not written to

Local = Callable[..., Ran]


def local_in(folder: Path) -> Local:
    """`kessai local ...` for the stack of one folder."""
    kessai = Kessai({"KESSAI_LOCAL_DIR": str(folder)}, folder)
    return lambda *arguments, **options: kessai("local", *arguments, **options)


@contextmanager
def passable_folder(name: str) -> Iterator[Path]:
    """A folder that the servers' accounts may reach: root's `tmp_path` is closed to them."""
    outer = Path(tempfile.mkdtemp(prefix="kessai-test-"))
    outer.chmod(0o755)
    inner = outer / name
    inner.mkdir()
    try:
        yield inner
    finally:
        Stack(inner).down(wipe=True)
        shutil.rmtree(outer)


@pytest.fixture
def folder() -> Iterator[Path]:
    with passable_folder("stack") as place:
        yield place


@pytest.fixture(scope="module")
def running() -> Iterator[Stack]:
    """One stack for the tests that leave it as they found it."""
    with passable_folder("stack") as place:
        stack = Stack(place)
        stack.up()
        yield stack


def servers_of(stack: Stack) -> list[psutil.Process]:
    """Found by other means than the product's own: by command line, environment and working folder."""
    return [process for process in psutil.process_iter() if _serves(process, stack)]


def _serves(process: psutil.Process, stack: Stack) -> bool:
    try:
        if process.name() not in SERVERS or process.status() == psutil.STATUS_ZOMBIE:
            return False
        traces = [*process.cmdline(), *process.environ().values(), process.cwd()]
    except psutil.Error:
        return False
    return any(str(stack.folder) in trace or stack.mark in trace for trace in traces)


def nothing_left(stack: Stack) -> bool:
    """Helpers of a killed server need a moment to notice."""
    deadline = time.monotonic() + 5
    while servers_of(stack) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not servers_of(stack)


def write_down(stack: Stack, note: str) -> None:
    with psycopg.connect(stack.environment()["KESSAI_DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (note text)")
        connection.execute("INSERT INTO notes VALUES (%s)", [note])


def notes(stack: Stack) -> list[str]:
    with psycopg.connect(stack.environment()["KESSAI_DATABASE_URL"]) as connection:
        return [str(row[0]) for row in connection.execute("SELECT note FROM notes")]


async def publish(stack: Stack, body: bytes) -> None:
    """To a durable queue that a crash cannot hurt.

    RabbitMQ writes down a queue's first term some three seconds late: killed before that, the queue never finds a
    leader again until somebody triggers an election (rabbitmq-server issue 10070).
    """
    connection = await aiormq.connect(stack.environment()["KESSAI_AMQP_URL"])
    channel = await connection.channel()
    await channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
    await asyncio.sleep(4)
    persistent = aiormq.spec.Basic.Properties(delivery_mode=2)
    await channel.basic_publish(body, routing_key="kept", properties=persistent)
    await connection.close()


async def published(stack: Stack) -> bytes:
    connection = await aiormq.connect(stack.environment()["KESSAI_AMQP_URL"])
    channel = await connection.channel()
    message = await channel.basic_get("kept", no_ack=True)
    await connection.close()
    return message.body


def test_two_stacks_run_side_by_side_and_end_apart(running: Stack, folder: Path) -> None:
    other = Stack(folder)
    other.up()
    assert {service.state for service in running.status() + other.status()} == {"running"}
    assert not set(running.environment().values()) & set(other.environment().values())

    other.down()

    assert nothing_left(other)
    assert {service.state for service in other.status()} == {"stopped"}
    assert {service.state for service in running.status()} == {"running"}


def test_up_twice_changes_nothing(running: Stack) -> None:
    before = running.status()
    again = local_in(running.folder)("up")
    assert (again.returncode, running.status()) == (0, before), again.stderr


def test_two_at_once_start_one_stack(folder: Path) -> None:
    starters = [threading.Thread(target=Stack(folder).up, args=[["postgres"]]) for _ in range(2)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    postmasters = [process for process in servers_of(Stack(folder)) if "-D" in process.cmdline()]
    assert len(postmasters) == 1
    assert [service.state for service in Stack(folder).status()] == ["running", "stopped"]


def test_servers_listen_on_loopback_alone(running: Stack) -> None:
    listening = {
        connection.laddr.ip
        for process in servers_of(running)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening
    assert all(ipaddress.ip_address(address).is_loopback for address in listening)


@pytest.mark.parametrize("server", ["postgres", "beam.smp", "epmd"])
def test_no_server_runs_as_root(running: Stack, server: str) -> None:
    owners = {process.uids().real for process in servers_of(running) if process.name() == server}
    assert len(owners) == 1
    assert 0 not in owners


def test_passwords_are_for_the_owner_alone(running: Stack) -> None:
    secret = running.environment()["KESSAI_DATABASE_URL"].split(":")[2].split("@")[0]
    holders = [
        path for path in running.folder.rglob("*") if path.is_file() and secret in path.read_text(errors="ignore")
    ]
    assert holders
    assert [path for path in holders if path.stat().st_mode & 0o077 and path.parent == running.folder] == []
    assert (running.folder / "postgres").stat().st_mode & 0o077 == 0
    assert (running.folder / "rabbitmq").stat().st_mode & 0o077 == 0


def test_env_readies_a_shell(running: Stack) -> None:
    said = local_in(running.folder)("env")
    script = f'{said.stdout}\nprintf "%s\\n" "$KESSAI_DATABASE_URL" "$KESSAI_AMQP_URL" "$SIGLUME_WEBHOOK_SECRET"'
    shell = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, env=clean_environment(), check=True)
    urls = running.environment()
    assert shell.stdout.splitlines() == [
        urls["KESSAI_DATABASE_URL"],
        urls["KESSAI_AMQP_URL"],
        "whsec_local_development",
    ]
    assert all(line.startswith("export ") for line in said.stdout.splitlines())


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    """Neither the servers nor a shell that evaluates `local env` stumble over it."""
    with passable_folder("it's a folder; $(false) é") as place:
        local = Kessai({"KESSAI_LOCAL_DIR": str(place)}, tmp_path)
        up = local("local", "up")
        assert up.returncode == 0, up.stderr
        script = f'{local("local", "env").stdout}\nprintf "%s" "$KESSAI_LOCAL_DIR"'
        shell = subprocess.run(
            ["sh", "-euc", script], capture_output=True, text=True, env=clean_environment(), check=True
        )
        assert shell.stdout == str(place)
        assert local("local", "down", "--wipe").returncode == 0
        assert nothing_left(Stack(place))
        assert not place.exists()


def test_env_keeps_the_shells_own_secret(running: Stack) -> None:
    said = local_in(running.folder)("env", environment={"SIGLUME_WEBHOOK_SECRET": "whsec_mine"})
    assert "SIGLUME_WEBHOOK_SECRET" not in said.stdout


def test_status_tells_a_script_what_runs(running: Stack) -> None:
    told = local_in(running.folder)("status", "--json").object()
    assert told["folder"] == str(running.folder)
    assert [(service["name"], service["state"]) for service in told["services"]] == [
        ("postgres", "running"),
        ("rabbitmq", "running"),
    ]


@pytest.mark.parametrize("how", ["kill", "restart"])
async def test_data_and_addresses_survive(running: Stack, how: str) -> None:
    local, urls, before = local_in(running.folder), running.environment(), {each.pid for each in running.status()}
    write_down(running, how)
    await publish(running, how.encode())

    for service in ("postgres", "rabbitmq"):
        assert local(how, service).returncode == 0
        if how == "kill":
            assert {each.name: each.state for each in running.status()}[service] == "stopped"
            assert local("start", service).returncode == 0

    assert running.environment() == urls
    assert not {each.pid for each in running.status()} & before
    assert how in notes(running)
    assert await published(running) == how.encode()


async def test_everything_killed_at_once_comes_up_again_with_its_data(folder: Path) -> None:
    stack = Stack(folder)
    stack.up()
    write_down(stack, "before the crash")
    await publish(stack, b"before the crash")

    for process in servers_of(stack):
        process.kill()
    assert nothing_left(stack)
    stack.up()

    assert notes(stack) == ["before the crash"]
    assert await published(stack) == b"before the crash"
    stack.down()
    assert nothing_left(stack)


@pytest.mark.parametrize("after", [0.1, 2.0])
def test_a_killed_start_leaves_nothing_that_the_next_command_cannot_mend(folder: Path, after: float) -> None:
    environment = clean_environment() | {"KESSAI_LOCAL_DIR": str(folder)}
    starter = subprocess.Popen([KESSAI, "local", "up"], env=environment, stderr=subprocess.PIPE)
    stack = Stack(folder)
    while not servers_of(stack):
        assert starter.poll() is None, starter.communicate()
        time.sleep(0.02)
    time.sleep(after)
    starter.kill()
    starter.communicate()

    stack.up()
    assert {service.state for service in stack.status()} == {"running"}
    stack.down()
    assert nothing_left(stack)


def test_down_finds_servers_whose_folder_was_deleted(folder: Path) -> None:
    stack = Stack(folder)
    stack.up()
    shutil.rmtree(folder)
    assert servers_of(stack)

    assert local_in(folder)("down", cwd=Path("/")).returncode == 0

    assert nothing_left(stack)


def test_a_temporary_stack_ends_with_its_owner_however_that_ends(tmp_path: Path) -> None:
    program = (
        "import time\n"
        "from deploy.local.temporary import temporary_stack\n"
        "with temporary_stack() as stack:\n"
        "    print(stack.folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert owner.stdout is not None
    stack = Stack(Path(owner.stdout.readline().strip()))
    assert servers_of(stack)

    owner.send_signal(signal.SIGKILL)
    owner.communicate()

    deadline = time.monotonic() + 15
    while stack.folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert nothing_left(stack)
    assert not stack.folder.exists()


def test_a_stranger_with_the_stacks_mark_is_left_alone(running: Stack) -> None:
    """As is whoever got the number of a server that has ended: the number alone is never proof."""
    stranger = subprocess.Popen(["sh", "-c", "sleep 60; :", f"{running.mark}-postgres"])
    try:
        running.kill("postgres")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        running.start("postgres")


def test_a_lock_left_by_a_crash_that_names_a_stranger_does_not_stop_postgres(running: Stack) -> None:
    running.kill("postgres")
    lock = running.folder / "postgres" / "data" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    owner = lock.stat()
    stranger = subprocess.Popen(["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None)
    try:
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        running.start("postgres")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_port_taken_meanwhile_is_exchanged(folder: Path) -> None:
    stack = Stack(folder)
    stack.up(["postgres"])
    port = stack.status()[0].port
    assert port is not None
    stack.down()
    with socket.create_server((LOOPBACK, port)):
        stack.up(["postgres"])
        assert stack.status()[0].port != port
        write_down(stack, "served")


def test_a_folder_that_the_servers_accounts_may_not_enter_is_no_hindrance(tmp_path: Path) -> None:
    """Root's servers then keep their data elsewhere; anybody else's run as their owner anyway."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    stack = Stack(closed / "stack")
    try:
        stack.up(["postgres"])
        write_down(stack, "here")
        elsewhere = list(ELSEWHERE.glob(f"{stack.mark}-*"))
        assert len(elsewhere) == (1 if os.geteuid() == 0 else 0)
    finally:
        stack.down(wipe=True)
    assert not any(home.exists() for home in elsewhere)
    assert not stack.folder.exists()


def test_wipe_leaves_what_it_did_not_make(folder: Path) -> None:
    (folder / "mine.txt").write_text("mine")
    stack = Stack(folder)
    stack.up(["postgres"])
    stack.down(wipe=True)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    (folder / "mine.txt").unlink()


@pytest.mark.parametrize("command", [("env",), ("start", "postgres"), ("restart", "rabbitmq"), ("kill", "postgres")])
def test_without_a_stack_each_command_says_so_in_one_line(folder: Path, command: tuple[str, ...]) -> None:
    ran = local_in(folder)(*command)
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert "kessai local up" in ran.stderr


def test_down_without_a_stack_is_no_error(tmp_path: Path) -> None:
    place = tmp_path / "never"
    assert local_in(place)("down", cwd=tmp_path).returncode == 0
    assert not place.exists()


def test_a_folder_that_cannot_hold_a_stack_is_one_line(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    ran = local_in(place)("up", cwd=tmp_path)
    assert (ran.returncode, len(ran.stderr.strip().splitlines())) == (1, 2), ran.stderr
    assert str(place) in ran.stderr


def test_a_spoilt_memory_is_told_and_can_be_wiped(folder: Path) -> None:
    (folder / "stack.json").write_text("{")
    local = local_in(folder)
    refused = local("up")
    assert refused.returncode == 1
    assert "kessai local down --wipe" in refused.stderr
    assert local("down", "--wipe").returncode == 0
    assert not folder.exists()


def test_an_unknown_service_is_refused(folder: Path) -> None:
    ran = local_in(folder)("kill", "mysql")
    assert ran.returncode == 2
    assert "rabbitmq" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_missing_programs_are_named_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path)
    monkeypatch.setattr(rabbitmq, "_DEBIAN", tmp_path / "rabbitmq-server")
    stack = Stack(tmp_path / "stack")
    advice = "apt-get install postgresql rabbitmq-server python3-venv.*compose.yaml"
    with pytest.raises(ProgramsMissing, match=rf"Postgres .*, rabbitmq-server, Erlang \(erl\), .*{advice}"):
        stack.up()
    assert not list(ELSEWHERE.glob(f"{stack.mark}-*"))
