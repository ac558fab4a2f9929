"""When accounts have signed out of the console."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "sign_out",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_sign_out")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("sign_out")
