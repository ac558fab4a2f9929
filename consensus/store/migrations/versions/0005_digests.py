"""Digests of what a run stored, so that the next one reads what changed; without any it reads all."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add their table."""
    op.create_table(
        "digest",
        sa.Column("project", sa.BigInteger, primary_key=True),
        sa.Column("rows_of", sa.String, primary_key=True),
        sa.Column("control", sa.String, primary_key=True),
        sa.Column("chunk", sa.BigInteger, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("scores", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Drop it; nothing is lost by that."""
    op.drop_table("digest")
