"""The books, what the operators' desk needs beside them, the start of payments, statements, and the sweep."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("0001_books.sql", "0001_desk.sql", "0001_checkout.sql", "0001_revenue.sql", "0001_sweep.sql"):
        op.execute(Path(__file__).with_name(name).read_text(encoding="utf-8"))
