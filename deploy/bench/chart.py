"""The picture of a bench run: figures against their targets, rates side by side, and memory over time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from deploy.bench.report import TARGETS, rounded

INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
OURS, OTHERS, MISSED = "#0f766e", "#b8c4ce", "#c2410c"

RATES = (
    ("noop_rps", "empty handler", OTHERS),
    ("verify_only_rps", "verify only", OTHERS),
    ("accept_rps", "accept: POST → 204", OURS),
    ("pgbench_tps", "pgbench, same statements", OTHERS),
    ("apply_eps", "apply: queue → commit", OURS),
    ("peer_eps", "official SDK route as shipped", OTHERS),
    ("peer_indexed_eps", "official SDK route with index", OTHERS),
    ("end_to_end_eps", "end to end: POST → commit", OURS),
    ("replay_eps", "replay: dead letter → commit", OURS),
    ("statement_rps", "statements: API → commit, rows", OURS),
)


def draw(report: Mapping[str, Any], *, folder: Path) -> list[Path]:
    """Writes bench.png and bench.svg into the folder; returns their paths."""
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)  # inches
    figure = Figure(figsize=(12, 7.2), layout=layout, facecolor="white")
    figure.suptitle("Kessai bench", x=0.012, ha="left", fontsize=17, fontweight="bold", color=INK)
    grid = figure.add_gridspec(2, 2, height_ratios=(1.05, 1), width_ratios=(1.35, 1))
    _targets(figure.add_subplot(grid[0, :]), report)
    _rates(figure.add_subplot(grid[1, 0]), report)
    _memory(figure.add_subplot(grid[1, 1]), report.get("memory_samples") or ())
    facts = report["machine"]
    footer = (
        f"{facts['cores']} cores ({facts['cpu']}), Python {facts['python']}, RabbitMQ {facts['rabbitmq']}, "
        f"Postgres {facts['postgres']}, {facts['measured_at']}"
    )
    figure.supxlabel(footer, x=0.988, ha="right", fontsize=8.5, color=FAINT)
    paths = [folder / "bench.png", folder / "bench.svg"]
    for path in paths:
        figure.savefig(path, dpi=160)
    return paths


def _targets(axes: Axes, report: Mapping[str, Any]) -> None:
    """One bar for each target, as a multiple of it, so that unlike figures share one scale; 1 meets the target."""
    known = [target for target in TARGETS if report[target.key] is not None]
    reached = [target.times_reached(report[target.key]) for target in known]
    colours = [OURS if target.met_by(report[target.key]) else MISSED for target in known]
    rows = range(len(known))
    axes.barh(rows, reached, color=colours, height=0.62)
    axes.axvline(1.0, color=INK, linewidth=1.4)
    widest = max([*reached, 1.0])
    for row, target, times in zip(rows, known, reached, strict=True):
        text = f"{rounded(report[target.key])}  (target {target.text})"
        # On white, since the line of the target may pass behind.
        axes.text(
            times + widest * 0.008, row, text, va="center", fontsize=10, color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
    axes.set_xlim(0, widest * 1.24)
    _dress(axes, "Measured, as a multiple of the target", rows, [target.what for target in known])
    axes.annotate("target", (1.0, 1.01), xycoords=("data", "axes fraction"), ha="center", fontsize=9, color=INK)
    axes.xaxis.set_major_formatter("{x:g}×")


def _rates(axes: Axes, report: Mapping[str, Any]) -> None:
    known = [rate for rate in RATES if report[rate[0]] is not None]
    values = [report[key] for key, _, _ in known]
    rows = range(len(known))
    axes.barh(rows, values, color=[colour for *_, colour in known], height=0.66)
    widest = max([*values, 1.0])
    for row, (key, _, _), value in zip(rows, known, values, strict=True):
        text = f"{value:,.0f}{_latencies(report) if key == 'end_to_end_eps' else ''}"
        axes.text(value + widest * 0.012, row, text, va="center", fontsize=9.5, color=INK)
    axes.set_xlim(0, widest * 1.14)
    _dress(axes, "Events a second", rows, [label for _, label, _ in known])
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _latencies(report: Mapping[str, Any]) -> str:
    half_p50, half_p99 = (rounded(report[f"end_to_end_half_rate_{percentile}_ms"]) for percentile in ("p50", "p99"))
    return f"  (at half of this rate p50 {half_p50} ms, p99 {half_p99} ms)"


def _memory(axes: Axes, samples: Sequence[Mapping[str, float]]) -> None:
    """A line each for worker and ingress under the dashed line of its limit."""
    events = [sample["applied"] / 1000 for sample in samples]
    for label, colour, limit, above, series in (
        ("worker", OURS, 200.0, 5, [sample["worker_mb"] for sample in samples]),
        ("ingress", "#1d4ed8", 120.0, -13, [sample["ingress_mb"] for sample in samples]),
    ):
        axes.axhline(limit, color=colour, linewidth=1, linestyle=(0, (4, 3)), alpha=0.7)
        axes.annotate(
            f"{label} limit {limit:.0f}", (0.01, limit), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", fontsize=8.5, color=colour,
        )  # fmt: skip
        if samples:
            axes.plot(events, series, color=colour, linewidth=2)
            axes.annotate(
                f"{label} {series[-1]:.0f}", (events[-1], series[-1]), xytext=(0, above),
                textcoords="offset points", ha="right", fontsize=9.5, color=colour,
            )  # fmt: skip
    axes.set_ylim(0, 235)
    axes.set_title("Resident MB by thousands of events", loc="left", fontsize=11, color=INK, pad=16)
    axes.grid(color=GRID)
    _bare(axes)


def _dress(axes: Axes, title: str, rows: range, labels: Sequence[str]) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=16)
    axes.set_yticks(rows, labels, fontsize=10, color=INK)
    axes.invert_yaxis()
    axes.grid(axis="x", color=GRID)
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=FAINT)
    axes.tick_params(axis="y", labelcolor=INK)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
