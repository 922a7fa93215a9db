"""The books: orders, attempts, events, archive, reviews, dead letters, batches, usage, outbox, audit."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_name("0001_books.sql").read_text(encoding="utf-8"))
