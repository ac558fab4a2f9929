"""What annotators answered on tasks with gold."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

NAMES = ("gold_answered", "gold_right")


def upgrade() -> None:
    """Add columns; of earlier runs they are unknown."""
    for name in NAMES:
        op.add_column("annotator", sa.Column(name, sa.Integer))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("annotator") as table:
        for name in NAMES:
            table.drop_column(name)
