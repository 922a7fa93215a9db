"""The desk: groups of dead letters, replays, decisions on reviews, notes, tallies, users."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_name("0002_desk.sql").read_text(encoding="utf-8"))
