"""The index of pages of batches."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make it."""
    op.create_index("ix_batch_page", "batch", ["project", "made_at", "id"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_batch_page", "batch")
