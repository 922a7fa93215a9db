"""`kessai reconcile`: compares the books with the platform's statements and sessions."""

import typer

from deploy.cli import reconcile_run, reconcile_sweep

app = typer.Typer(
    name="reconcile", help="Compare the books with the platform's statements and sessions.", no_args_is_help=True
)
app.command()(reconcile_run.run)
app.command()(reconcile_sweep.sweep)
