"""What each run measures of the project."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; of earlier runs it is unknown."""
    op.add_column("run", sa.Column("measures", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("run") as table:
        table.drop_column("measures")
