"""`kessai bench`: measures Kessai's speed on this machine, on a private stack."""

import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from shared.errors import KessaiError

Only = Annotated[
    str,
    typer.Option(
        help="Parts, separated by commas; all when omitted: accept, apply, end-to-end, peer, growth, replay, desk, "
        "reconcile, memory."
    ),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="Use tiny sizes: shows that the bench works, and nothing about speed.")
]
Peer = Annotated[bool, typer.Option(help="Measure the official SDK's own FastAPI route beside Kessai.")]
Out = Annotated[
    Path,
    typer.Option("--out", "--output", help="Folder for bench.json, bench.png, bench.svg and the programs' logs."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

NEEDED = {"matplotlib": "bench"}
NEEDED_BY_PEER = dict.fromkeys(
    ("fastapi", "uvicorn", "httptools", "greenlet", "siglume_direct_request_payment"), "peer"
)


class BenchCannotRun(KessaiError):
    """Something that the bench needs is missing, or a part is unknown."""


def bench(
    only: Only = "", quick: Quick = False, peer: Peer = True, out: Out = Path("bench-results"), as_json: AsJson = False
) -> None:
    """Measure accept, apply, end-to-end, growth, replay, desk, reconcile and memory figures, and the SDK's own route.

    It takes about half an hour and up to 20 GB of disk. It starts its own Postgres and RabbitMQ, and stops them again.
    """
    _require(NEEDED | (NEEDED_BY_PEER if peer else {}))
    from rich.console import Console

    from deploy.bench.report import tables
    from deploy.bench.run import QUICK, Part, Sizes, run
    from shared.observe import log

    log.configure(style="console", level="warning")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM stops everything in order, as Ctrl-C does
    parts = [part for part in _chosen(only) if peer or part != "peer"]
    report = run([Part(part) for part in parts], QUICK if quick else Sizes(), out=out)
    if as_json:
        typer.echo((out / "bench.json").read_text(encoding="utf-8"), nl=False)
        return
    Console().print(tables(report))
    typer.echo(f"written: {out / 'bench.json'}, {out / 'bench.png'}, {out / 'bench.svg'}", err=True)


def _chosen(only: str) -> list[str]:
    from deploy.bench.run import Part

    named = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in named if name not in set(Part)]
    if unknown:
        raise BenchCannotRun(f"there is no part {', '.join(unknown)}: choose from {', '.join(Part)}")
    return [part for part in Part if not named or part in named]


def _require(modules: dict[str, str]) -> None:
    missing = {module: extra for module, extra in modules.items() if find_spec(module) is None}
    if missing:
        raise BenchCannotRun(
            f"{', '.join(missing)} not installed: pip install 'kessai[{','.join(sorted(set(missing.values())))}]'"
            + (", or omit the peer with --no-peer" if "peer" in missing.values() else "")
        )
