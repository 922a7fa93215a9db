"""What was measured, and which targets were met? The figures as one object and as tables; chart.py draws them."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from operator import ge, le, lt
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

FIGURES = {
    "accept_rps": "accepted POSTs/s, confirmed by RabbitMQ",
    "accept_p50_ms": "  p50, ms",
    "accept_p99_ms": "  p99, ms",
    "verify_only_rps": "the same server, verify only, POSTs/s",
    "noop_rps": "the same server, empty handler, POSTs/s",
    "apply_eps": "applied events/s, one worker",
    "pgbench_tps": "pgbench, the same statements, one transaction an event, 16 clients",
    "end_to_end_eps": "end to end (POST to commit), sustained events/s",
    "end_to_end_p50_ms": "  p50, ms",
    "end_to_end_p99_ms": "  p99, ms",
    "end_to_end_half_rate_p50_ms": "  p50 at half of that rate, ms",
    "end_to_end_half_rate_p99_ms": "  p99 at half of that rate, ms",
    "peer_eps": "official SDK route (FastAPI) as shipped, events/s",
    "peer_indexed_eps": "official SDK route with an index on order_id, events/s",
    "growth_small_eps": "applied events/s, small books",
    "growth_large_eps": "applied events/s, large books",
    "replay_plan_s": "planning a replay of 50,000 events, seconds",
    "replay_eps": "replayed events/s, without a rate limit",
    "live_p99_alone_ms": "p99 of live traffic, POST to commit, ms",
    "live_p99_beside_ms": "  during a replay at its default rate, ms",
    "desk_slowest_ms": "slowest list or search in the console, ms",
    "desk_overview_db_ms": "Postgres time of one overview refresh, ms",
    "statement_rps": "statement rows/s, from the platform's API into the books",
    "statement_settle_ops": "orders/s that a settled batch settles, all compared",
    "ingress_rss_mb": "ingress, most resident memory, MB",
    "ingress_growth_mb": "  growth from the first fifth to the end, MB",
    "worker_rss_mb": "worker, most resident memory, MB",
    "worker_growth_mb": "  growth from the first fifth to the end, MB",
}
"""What the table shows, in order, by the keys of the JSON object."""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to reach."""

    key: str
    what: str
    compare: str
    """`>=`, `<=` or `<`."""
    bound: float

    def met_by(self, value: float) -> bool:
        return bool({">=": ge, "<=": le, "<": lt}[self.compare](value, self.bound))

    @property
    def text(self) -> str:
        """As in `≥ 2,000`."""
        return f"{_SIGNS[self.compare]} {self.bound:,g}"

    def times_reached(self, value: float) -> float:
        """1.0 just meets the target and more is better, whichever way the comparison points."""
        return value / self.bound if self.compare == ">=" else self.bound / max(value, 1e-9)


_SIGNS = {">=": "≥", "<=": "≤", "<": "<"}
TARGETS = (
    Target("accept_ratio", "accept vs. verify only", ">=", 0.30),
    Target("accept_p99_ms", "accept p99, ms", "<", 40.0),
    Target("apply_ratio", "apply vs. pgbench", ">=", 1.0),
    Target("peer_ratio", "end to end vs. official SDK route with index", ">=", 5.0),
    Target("growth_ratio", "apply in large vs. small books", ">=", 0.8),
    Target("replay_plan_s", "planning 50,000 events, s", "<", 60.0),
    Target("replay_eps", "replayed events/s", ">=", 2000.0),
    Target("replay_live_ratio", "live p99 during a replay vs. alone", "<=", 1.5),
    Target("desk_slowest_ms", "slowest list or search in the console, ms", "<", 200.0),
    Target("desk_overview_db_ms", "Postgres time of one overview refresh, ms", "<", 5.0),
    Target("statement_rps", "statement rows/s", ">=", 5000.0),
    Target("ingress_rss_mb", "ingress resident, MB", "<=", 120.0),
    Target("worker_rss_mb", "worker resident, MB", "<=", 200.0),
)
RATIOS = {
    "accept_ratio": ("accept_rps", "verify_only_rps"),
    "apply_ratio": ("apply_eps", "pgbench_tps"),
    "peer_ratio": ("end_to_end_eps", "peer_indexed_eps"),
    "growth_ratio": ("growth_large_eps", "growth_small_eps"),
    "replay_live_ratio": ("live_p99_beside_ms", "live_p99_alone_ms"),
}
"""The key of each ratio, and the keys of its dividend and divisor."""


def compile_report(parts: Mapping[str, object], *, services: Mapping[str, str]) -> dict[str, Any]:
    """One flat object: the figures of every part (None where a part was left out), ratios, targets, machine."""
    report: dict[str, Any] = dict.fromkeys((*FIGURES, *RATIOS))
    for figures in parts.values():
        report.update(asdict(figures))  # type: ignore[call-overload]
    for key, (dividend, divisor) in RATIOS.items():
        if report[dividend] is not None and report[divisor]:
            report[key] = report[dividend] / report[divisor]
    report["targets"] = [_judge(target, report[target.key]) for target in TARGETS]
    report["machine"] = {**machine(), **services}
    return report


def tables(report: Mapping[str, Any]) -> RenderableType:
    """Figures above, targets below, the machine as a footnote."""
    facts = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    return Group(_figures_table(report), _targets_table(report), Text(facts, style="dim"))


def machine() -> dict[str, str]:
    """What the figures depend on in addition to the code."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": str(os.cpu_count()),
        "cpu": _cpu_name(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        **{name: version(name) for name in ("aiohttp", "aio-pika", "asyncpg", "uvloop")},
    }


def _judge(target: Target, value: float | None) -> dict[str, Any]:
    met = None if value is None else target.met_by(value)
    return {
        "figure": target.key,
        "what": target.what,
        "value": value,
        "compare": target.compare,
        "bound": target.bound,
        "met": met,
    }


def _figures_table(report: Mapping[str, Any]) -> Table:
    table = Table(title="Kessai bench", title_justify="left")
    table.add_column("figure")
    table.add_column("measured", justify="right")
    for key, label in FIGURES.items():
        if report[key] is not None:
            table.add_row(label, rounded(report[key]))
    return table


def _targets_table(report: Mapping[str, Any]) -> Table:
    table = Table(title="against the targets", title_justify="left")
    for heading in ("figure", "measured", "target"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    table.add_column("")
    for target in TARGETS:
        value = report[target.key]
        if value is not None:
            verdict = Text("met", style="green") if target.met_by(value) else Text("missed", style="bold red")
            table.add_row(target.what, rounded(value), target.text, verdict)
    return table


def rounded(value: float) -> str:
    """Three digits or more, with commas between thousands, as in 3,785, 44.2 and 0.45."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _cpu_name() -> str:
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:  # noqa: PTH123 - a kernel file, not a path
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
