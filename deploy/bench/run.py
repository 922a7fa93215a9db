"""What does a whole bench run consist of? The parts, their sizes, and their order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, assert_never

import orjson
import psycopg

from deploy.bench import (
    accept,
    apply,
    chart,
    console,
    end_to_end,
    growth,
    memory,
    peer,
    queues,
    reconcile,
    replay,
    report,
)
from deploy.bench.rig import Rig, rig
from deploy.bench.stage import stage


class Part(StrEnum):
    ACCEPT = "accept"
    APPLY = "apply"
    END_TO_END = "end-to-end"
    PEER = "peer"
    GROWTH = "growth"
    REPLAY = "replay"
    DESK = "desk"
    RECONCILE = "reconcile"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The amount of work of each part. The defaults take about half an hour and 20 GB of disk for a while."""

    accept_rounds: int = 5
    accept_seconds: float = 4.0
    backlog: int = 50_000
    apply_rounds: int = 3
    search_seconds: float = 8.0
    search_steps: int = 5
    end_to_end_seconds: float = 30.0
    end_to_end_climbs: int = 3
    peer_orders: int = 200_000
    peer_seconds: float = 10.0
    growth_small: int = 50_000
    growth_large: int = 5_000_000
    growth_backlog: int = 25_000
    growth_rounds: int = 3
    replay_events: int = 50_000
    replay_live_rate: float = 250.0
    replay_seconds: float = 30.0
    desk_events: int = 1_000_000
    desk_dead_letters: int = 100_000
    reconcile_rows: int = 200_000
    memory_events: int = 1_000_000


QUICK = Sizes(
    accept_rounds=1,
    accept_seconds=1.0,
    backlog=1_600,
    apply_rounds=1,
    search_seconds=1.0,
    search_steps=1,
    end_to_end_seconds=1.0,
    end_to_end_climbs=0,
    peer_orders=20_000,
    peer_seconds=1.5,
    growth_small=500,
    growth_large=5_000,
    growth_backlog=1_600,
    growth_rounds=1,
    replay_events=1_500,
    replay_live_rate=100.0,
    replay_seconds=1.0,
    desk_events=3_000,
    desk_dead_letters=300,
    reconcile_rows=3_000,
    memory_events=2_000,
)
"""Whether everything works, in less than a minute; the figures mean nothing."""


def run(parts: Sequence[Part], sizes: Sizes, *, out: Path) -> Mapping[str, Any]:
    """Measure the parts on a private stack; the report, also as bench.json, bench.png and bench.svg in `out`."""
    logs = out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    figures: dict[str, object] = {}
    with stage("bench") as line, rig(line, logs=logs) as bench_rig:
        services = _versions(bench_rig)
        for part in parts:
            with line.part(part):
                figures[part] = _measure(part, bench_rig, sizes)
            # Written after each part, so that a run that is broken off leaves what it had measured.
            _write(report.compile_report(figures, services=services), out)
    compiled = report.compile_report(figures, services=services)
    chart.draw(compiled, folder=out)
    return compiled


def _measure(part: Part, bench_rig: Rig, sizes: Sizes) -> object:
    match part:
        case Part.ACCEPT:
            return accept.measure(bench_rig, rounds=sizes.accept_rounds, seconds=sizes.accept_seconds)
        case Part.APPLY:
            return apply.measure(bench_rig, backlog=sizes.backlog, rounds=sizes.apply_rounds)
        case Part.END_TO_END:
            return end_to_end.measure(
                bench_rig,
                search_seconds=sizes.search_seconds,
                steps=sizes.search_steps,
                seconds=sizes.end_to_end_seconds,
                climbs=sizes.end_to_end_climbs,
            )
        case Part.PEER:
            return peer.measure(bench_rig, open_orders=sizes.peer_orders, seconds=sizes.peer_seconds)
        case Part.GROWTH:
            return growth.measure(
                bench_rig,
                small=sizes.growth_small,
                large=sizes.growth_large,
                backlog=sizes.growth_backlog,
                rounds=sizes.growth_rounds,
            )
        case Part.REPLAY:
            return replay.measure(
                bench_rig, events=sizes.replay_events, live_rate=sizes.replay_live_rate, seconds=sizes.replay_seconds
            )
        case Part.DESK:
            return console.measure(bench_rig, events=sizes.desk_events, dead_letters=sizes.desk_dead_letters)
        case Part.RECONCILE:
            return reconcile.measure(bench_rig, rows=sizes.reconcile_rows)
        case Part.MEMORY:
            return memory.measure(bench_rig, events=sizes.memory_events)
    assert_never(part)


def _versions(bench_rig: Rig) -> dict[str, str]:
    with psycopg.connect(bench_rig.database_url) as db:
        postgres = (db.info.parameter_status("server_version") or "unknown").partition(" ")[0]  # not the package's
    return {"postgres": postgres, "rabbitmq": queues.server_version(bench_rig.amqp_url)}


def _write(compiled: Mapping[str, Any], out: Path) -> None:
    (out / "bench.json").write_bytes(orjson.dumps(compiled, option=orjson.OPT_INDENT_2) + b"\n")
