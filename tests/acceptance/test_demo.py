"""The demo adds up on a machine of its own, can be left running, and leaves nothing behind."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.stack import Stack
from tests.acceptance.conftest import assert_one_line
from tests.programs import KESSAI, Kessai, Ran, clean_environment


@pytest.fixture
def bare(tmp_path: Path) -> Kessai:
    """With no server named: the demo brings its own."""
    return Kessai({"KESSAI_LOCAL_DIR": str(tmp_path / "local")}, tmp_path)


@pytest.mark.timeout(400)
def test_the_demo_adds_up_and_can_be_left_running(bare: Kessai, tmp_path: Path) -> None:
    ran = bare("demo", "--keep", "--json", timeout=300)
    try:
        assert ran.returncode == 0, ran.stderr
        told = ran.object()
        assert told["adds_up"] is True
        assert told["sent"] == sum(told["outcomes"].values()) == 2000
        assert all(scene["as_planned"] for scene in told["scenes"])
        assert {money["currency"] for money in told["money"]} == {"JPY", "USD"}
        assert all(int(money["told_minor"]) == money["paid_minor"] > 0 for money in told["money"])

        assert_one_line(bare("demo", "--keep"), says="kessai demo --stop")
        books = {"KESSAI_DATABASE_URL": Stack(tmp_path / "local" / "demo").environment()["KESSAI_DATABASE_URL"]}
        paid = bare("orders", "list", "--state", "paid", "--limit", "5000", "--json", environment=books)
        assert len(paid.array()) == sum(money["paid_orders"] for money in told["money"])
    finally:
        stopped = bare("demo", "--stop")
    assert stopped.returncode == 0, stopped.stderr
    assert _programs_of(tmp_path) == []
    assert not (tmp_path / "local" / "demo").exists()
    assert_one_line(bare("demo", "--stop"), says="no demo was left running")


@pytest.mark.timeout(200)
def test_ctrl_c_ends_the_demo_and_all_it_started(kessai: Kessai, tmp_path: Path) -> None:
    """On given servers, which stay as they are."""
    with (tmp_path / "told").open("wb") as told:
        process = subprocess.Popen(
            [KESSAI, "demo"],
            env=clean_environment() | dict(kessai.environment) | {"TMPDIR": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            start_new_session=True,
        )
    try:
        _await(lambda: "workers run" in (tmp_path / "told").read_text(encoding="utf-8"))
        assert len(_programs_of(tmp_path)) >= 5
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
    assert "Traceback" not in (tmp_path / "told").read_text(encoding="utf-8")
    _await(lambda: _programs_of(tmp_path) == [], seconds=5.0)
    assert list(tmp_path.glob("kessai-demo-*")) == []


def test_the_demo_keeps_out_of_books_that_are_somebodys(kessai: Kessai) -> None:
    assert kessai("orders", "add", "real", "--amount-minor", "5", "--currency", "JPY").returncode == 0
    assert_one_line_after_steps(kessai("demo"), says="books with real orders")


def assert_one_line_after_steps(ran: Ran, *, says: str) -> None:
    assert ran.returncode == 1
    assert says in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr


def _await(is_so: Callable[[], bool], *, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.1)


def _programs_of(folder: Path) -> list[str]:
    """Command lines of what runs with a setting that points into the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:
            continue
        if f"KESSAI_CONFIG={folder}".encode() in environment:
            found.append(command.replace(b"\0", b" ").decode())
    return found
