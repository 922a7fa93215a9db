"""`kessai doctor`: what works, what does not, and what to do about it."""

from typing import TYPE_CHECKING

import typer

from deploy.cli.options import AsJson
from deploy.cli.output import print_json, printable, say

if TYPE_CHECKING:
    from deploy.doctor.finding import Finding

MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


def doctor(as_json: AsJson = False) -> None:
    """Check settings, Postgres, RabbitMQ, migrations, queues and clocks.

    Exit code 1 when a check fails.
    """
    import asyncio

    from deploy.doctor.finding import Health

    findings = asyncio.run(_examine(prints=not as_json))
    failed = sum(finding.health is Health.FAIL for finding in findings)
    if as_json:
        print_json(findings)
    elif not failed:
        say("Kessai can work here")
    if failed:
        raise typer.Exit(1)


async def _examine(*, prints: bool) -> "list[Finding]":
    from deploy.doctor.examine import examine

    findings = []
    async for finding in examine():
        findings.append(finding)
        if prints:
            _print_finding(finding)
    return findings


def _print_finding(finding: "Finding") -> None:
    mark, colour = MARKS[finding.health]
    typer.echo(f"{typer.style(mark, fg=colour)} {finding.check:<22} {printable(finding.found)}")
    if finding.advice is not None:
        typer.echo(f"  {'':<22} → {printable(finding.advice)}")
