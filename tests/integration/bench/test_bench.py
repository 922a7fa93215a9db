"""`kessai bench` as a person runs it, with sizes that show that it works and say nothing about speed."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.programs import KESSAI, Kessai, clean_environment

FIGURES = (
    *("accept_rps", "accept_p50_ms", "accept_p99_ms", "verify_only_rps", "noop_rps", "apply_eps", "pgbench_tps"),
    *("end_to_end_eps", "end_to_end_p50_ms", "end_to_end_p99_ms", "peer_eps", "peer_indexed_eps"),
    *("end_to_end_half_rate_p50_ms", "end_to_end_half_rate_p99_ms"),
    *("replay_plan_s", "replay_eps", "live_p99_alone_ms", "live_p99_beside_ms", "replay_live_ratio"),
    *("desk_slowest_ms", "desk_overview_db_ms", "statement_rps", "statement_settle_ops"),
    *("growth_ratio", "ingress_rss_mb", "worker_rss_mb", "accept_ratio", "apply_ratio", "peer_ratio"),
)


@pytest.mark.timeout(300)
def test_a_quick_run_gives_every_figure_and_a_picture(kessai: Kessai, tmp_path: Path) -> None:
    ran = kessai("bench", "--quick", "--json", "--out", str(tmp_path), timeout=280)

    assert ran.returncode == 0, ran.stderr
    report = ran.object()
    assert {name for name in FIGURES if not report.get(name, 0) > 0} == set()
    assert {target["figure"]: type(target["met"]) for target in report["targets"]} == dict.fromkeys(
        (
            "accept_ratio",
            "accept_p99_ms",
            "apply_ratio",
            "peer_ratio",
            "growth_ratio",
            "replay_plan_s",
            "replay_eps",
            "replay_live_ratio",
            "desk_slowest_ms",
            "desk_overview_db_ms",
            "statement_rps",
            "ingress_rss_mb",
            "worker_rss_mb",
        ),
        bool,
    )
    assert report["memory_samples"][-1]["applied"] == report["memory_events"]
    assert report["machine"]["postgres"]
    assert report["machine"]["rabbitmq"]
    assert orjson.loads((tmp_path / "bench.json").read_bytes()) == report
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "bench.svg").read_bytes()
    assert report["end_to_end_half_rate_p50_ms"] <= report["end_to_end_half_rate_p99_ms"]


def test_a_part_that_does_not_exist_is_named_in_one_line(kessai: Kessai) -> None:
    ran = kessai("bench", "--only", "accept,speed")

    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "speed" in ran.stderr
    assert "end-to-end" in ran.stderr


def test_ctrl_c_stops_everything_that_was_started() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # the servers' accounts must pass through it to their data
        process = subprocess.Popen(
            [KESSAI, "bench", "--only", "accept", "--out", f"{folder}/out"],
            env=clean_environment() | {"TMPDIR": folder},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        _wait_for(lambda: any("deploy.bench.load" in line for line in _descendants_of(folder)), process)
        os.kill(process.pid, signal.SIGINT)
        _, complaint = process.communicate(timeout=60)

        assert process.returncode == 130, complaint
        _wait_for(lambda: not _descendants_of(folder))


def _descendants_of(folder: str) -> list[str]:
    """Command lines of every process that was given this folder, by argument or by TMPDIR."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if folder.encode() in told:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def _wait_for(condition: Callable[[], bool], process: "subprocess.Popen[bytes] | None" = None) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process is None or process.poll() is None, "the bench ended by itself"
        assert time.monotonic() < deadline, "not within a minute"
        time.sleep(0.1)
