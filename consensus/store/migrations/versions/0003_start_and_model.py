"""What was learned, to start the next run from, and a model's share in each classification."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns."""
    op.add_column("control", sa.Column("learned", sa.LargeBinary))
    op.add_column("classification", sa.Column("model_share", sa.Float))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("classification") as table:
        table.drop_column("model_share")
    with op.batch_alter_table("control") as table:
        table.drop_column("learned")
