"""The books, what the people at the operators' desk need beside them, and the start of payments."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("0001_books.sql", "0001_desk.sql", "0001_checkout.sql"):
        op.execute(Path(__file__).with_name(name).read_text(encoding="utf-8"))
