"""`kessai reconcile`: the books beside what the platform says."""

import typer

from deploy.cli import reconcile_run, reconcile_sweep

app = typer.Typer(name="reconcile", help="Compare the books with what the platform says.", no_args_is_help=True)
app.command()(reconcile_run.run)
app.command()(reconcile_sweep.sweep)
