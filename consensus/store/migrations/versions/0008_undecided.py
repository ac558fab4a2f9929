"""An index for the report Undecided, the most contradicted first."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAME = "ix_classification_undecided"


def upgrade() -> None:
    """Make it."""
    only = sa.text("report = 'Undecided'")
    columns = ["project", "posterior", "task", "control", "label"]
    op.create_index(NAME, "classification", columns, sqlite_where=only, postgresql_where=only)


def downgrade() -> None:
    """Drop it; nothing is lost by that."""
    op.drop_index(NAME, "classification")
