"""How many webhooks a second does the ingress accept, and with which latency? Compared with two baselines.

The baselines are the same server with a handler that only verifies, and with an empty one. All three run all the time
and are measured in short alternating rounds, so that a machine that slows down affects them alike.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from deploy.bench import queues
from deploy.bench.load import Plan, Result
from deploy.bench.programs import ProgramFailed, free_port, run_load, running
from deploy.bench.rig import PATH, Rig

POOL = 20_000
"""Distinct events of a round; the ingress does not check whether it has seen one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptFigures:
    """Medians over the rounds; 64 connections, RabbitMQ and the load generator on the same cores."""

    accept_rps: float
    """POSTs answered 204 a second, each confirmed by a quorum queue on disk."""
    accept_p50_ms: float
    accept_p99_ms: float
    verify_only_rps: float
    verify_only_p99_ms: float
    noop_rps: float
    load_cpu_share: float
    """Of one core, spent by the load generator while `noop_rps` was measured."""


def measure(rig: Rig, *, rounds: int, seconds: float) -> AcceptFigures:
    with rig.ingress() as (accepting, _), _baseline(rig, "verify") as verifying, _baseline(rig, "noop") as empty:
        ports = {"empty handler": empty, "verify only": verifying, "accept": accepting}
        results: dict[str, list[Result]] = {name: [] for name in ports}
        for number in range(rounds):
            for name, port in ports.items():
                rig.stage.says(f"accept: {name}", done=sum(map(len, results.values())), of=3 * rounds)
                results[name].append(_round(rig, name, port, first=number * POOL, seconds=seconds))
                queues.purge(rig.amqp_url)
    accept, verify, noop = results["accept"], results["verify only"], results["empty handler"]
    return AcceptFigures(
        accept_rps=median(result.rps for result in accept),
        accept_p50_ms=median(result.p50_ms for result in accept),
        accept_p99_ms=median(result.p99_ms for result in accept),
        verify_only_rps=median(result.rps for result in verify),
        verify_only_p99_ms=median(result.p99_ms for result in verify),
        noop_rps=median(result.rps for result in noop),
        load_cpu_share=median(result.cpu_share for result in noop),
    )


def _round(rig: Rig, name: str, port: int, *, first: int, seconds: float) -> Result:
    warm_up = min(1.0, seconds / 3)
    plan = Plan(port=port, path=PATH, secret=rig.secret, first=first, seconds=seconds, warm_up=warm_up, pool=POOL)
    result = run_load(plan)
    if result.refused:
        raise ProgramFailed(f"the server ({name}) did not answer 204 to all: {result.refused}; see its log")
    return result


@contextmanager
def _baseline(rig: Rig, what: str) -> Iterator[int]:
    port = free_port()
    argv = [sys.executable, "-m", "deploy.bench.baselines", what, str(port)]
    env = {"SIGLUME_WEBHOOK_SECRET": rig.secret}
    with running(f"the {what} baseline", argv, env=env, log=rig.logs / f"{what}.log", port=port):
        yield port
